"""What makes a network ready for prediction must not change what it predicts."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from pipeline.color.spaces import srgb_to_lab
from pipeline.models.base import resolve_precision
from pipeline.models.blocks import OutputConv, UpStep
from pipeline.models.efficientnet_lite import SameConv2d
from pipeline.models.inference import (
    FusedConv,
    FusedOutputConv,
    FusedUpStep,
    PointwiseConv,
    can_fuse,
    fuse,
    ready_for_inference,
)
from pipeline.models.method_list import build_colorizer, load_colorizer
from pipeline.models.names import location
from pipeline.models.weights import load_weights
from pipeline.models.weights_location import shipped_names
from tests.support.paths import SAMPLES as PHOTOS


@pytest.mark.slow
@pytest.mark.parametrize("name", shipped_names())
def test_every_shipped_network_predicts_the_same(name: str) -> None:
    plain = build_colorizer(load_weights(location(None, name), None))
    ready = load_colorizer(None, name, precision="fp32").colorizer
    L = torch.linspace(0, 100, 96 * 64).reshape(1, 1, 96, 64) + 5 * torch.randn(1, 1, 96, 64)
    for L_B1HW in (L.clamp(0, 100), L.clamp(0, 100).repeat(2, 1, 1, 1)):
        assert torch.allclose(plain.predict_ab(L_B1HW), ready.predict_ab(L_B1HW), atol=2e-3)
    for layers in (layer for layer in ready.modules() if isinstance(layer, nn.Sequential)):
        for first, second in pairwise(layers):
            assert not (isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d))


def test_only_convolutions_of_single_pixels_become_products() -> None:
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(4, 8, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 8, 1, groups=2), nn.Conv2d(8, 6, 1, stride=2), nn.Conv2d(6, 2, 3, padding=1),
    )  # fmt: skip
    for norm in (layer for layer in layers if isinstance(layer, nn.BatchNorm2d)):
        norm.running_mean = torch.randn(8)
        norm.running_var = torch.rand(8) + 0.1
    network = nn.ModuleDict({"layers": layers.eval()})
    x = torch.randn(2, 4, 10, 12)
    with torch.no_grad():
        before = layers(x)
        ready_for_inference(network)
        assert torch.allclose(network["layers"](x), before, atol=1e-5)
    assert [isinstance(layer, PointwiseConv) for layer in layers] == [True, *[False] * 5]


CPU = torch.device("cpu")


@pytest.mark.skipif(not can_fuse(CPU, torch.float32), reason="oneDNN has no fused operators on this machine")
@pytest.mark.parametrize("size", [(31, 18), (32, 32)])
def test_fused_operators_compute_what_the_layers_did(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    layers = nn.Sequential(
        SameConv2d(4, 8, 3, 2, bias=False), nn.BatchNorm2d(8), nn.ReLU6(),
        nn.Conv2d(8, 8, 3, padding=2, dilation=2), nn.ReLU(),
        SameConv2d(8, 8, 5, groups=8, bias=False), nn.BatchNorm2d(8),
        nn.Conv2d(8, 6, 1), nn.ReLU6(), nn.Conv2d(6, 3, 1), nn.Sigmoid(),
    ).eval()  # fmt: skip
    x, network = 3 * torch.randn(2, 4, *size), nn.ModuleList([layers])
    with torch.no_grad():
        before = layers(x)
        ready_for_inference(network)
        fuse(network, torch.float32)
        assert torch.allclose(layers(x), before, atol=1e-5)
    assert [type(layer).__name__ for layer in layers if type(layer) is not nn.Identity] == [
        "FusedConv", "FusedConv", "FusedConv", "FusedPointwise", "FusedPointwise", "Sigmoid",
    ]  # fmt: skip


@pytest.mark.skipif(not can_fuse(CPU, torch.float32), reason="oneDNN has no fused operators on this machine")
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (8, 12)])
def test_an_up_step_on_the_small_map_computes_what_it_does_on_the_enlarged_one(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    step = UpStep(24, 6, 16).eval()
    step[1].running_mean, step[1].running_var = torch.randn(16), torch.rand(16) + 0.1
    x = torch.randn(2, 24, *size).contiguous(memory_format=torch.channels_last)
    finer = torch.randn(2, 6, 2 * size[0], 2 * size[1]).contiguous(memory_format=torch.channels_last)
    network = nn.ModuleDict({"step": step})
    with torch.no_grad():
        before = step(x, finer)
        ready_for_inference(network)
        fuse(network, torch.float32)
        assert type(network["step"]) is FusedUpStep
        torch.testing.assert_close(network["step"](x, finer), before, atol=1e-5, rtol=1e-5)
    assert 0.2 < (before > 0).float().mean() < 0.8


@pytest.mark.skipif(resolve_precision("auto", "cpu") != "bf16", reason="float32 is faster on this machine")
@pytest.mark.parametrize("size", [(1, 1), (2, 1), (5, 7), (12, 8)])
def test_an_output_of_few_channels_computes_what_the_layer_did(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    layer = OutputConv(24, 2, 3, padding=1)
    x = torch.randn(3, 24, *size)
    with torch.inference_mode():
        for given in (x, x.contiguous(memory_format=torch.channels_last), x.bfloat16()):
            wanted = layer(given)
            assert torch.allclose(FusedOutputConv(layer)(given), wanted, atol=1e-5)
    network = nn.ModuleDict({"few": layer, "many": OutputConv(24, 16, 3, padding=1)})
    fuse(network, torch.float32)
    assert [type(one) for one in network.values()] == [FusedOutputConv, OutputConv]


@pytest.mark.skipif(not can_fuse(CPU, torch.float32), reason="oneDNN has no fused operators on this machine")
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("size", [(12, 8), (11, 8), (12, 9), (11, 9), (7, 6)])
def test_padding_of_one_more_at_the_end_computes_what_the_layer_did(
    kernel: int, size: tuple[int, int]
) -> None:
    """Both sides even: the longer kernel. Both odd: equal padding. Else the map is copied."""
    torch.manual_seed(0)
    for inputs, groups in ((1, 1), (16, 16)):
        layer = SameConv2d(inputs, 16, kernel, 2, groups=groups)
        x = torch.randn(2, inputs, *size)
        with torch.inference_mode():
            assert torch.allclose(FusedConv(layer, None, torch.float32)(x), layer(x), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", shipped_names())
def test_bfloat16_moves_chroma_by_less_than_can_be_seen(name: str) -> None:
    exact = load_colorizer(None, name, precision="fp32").colorizer
    quick = load_colorizer(None, name, precision="auto").colorizer
    for photo in ("migrant-mother-1936.jpg", "tetons-snake-river-1942.jpg", "woman-in-print.jpg"):
        with Image.open(PHOTOS / photo) as image:
            gray = np.asarray(image.convert("RGB").resize((128, 96)))
        L_11HW = torch.from_numpy(srgb_to_lab(gray / 255)[None, None, ..., 0].astype(np.float32))
        assert (exact.predict_ab(L_11HW) - quick.predict_ab(L_11HW)).abs().mean() <= 0.5, photo
