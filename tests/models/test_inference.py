"""What makes a network ready for prediction must not change what it predicts."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from pipeline.models.inference import PointwiseConv, ready_for_inference
from pipeline.models.registry import build_colorizer, load_colorizer, location
from pipeline.models.weights import load_weights, shipped_names


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
