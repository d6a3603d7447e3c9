"""What the interface of every method promises, and how the methods differ."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pipeline.errors import ConfigError
from pipeline.models.ab_bins import bins
from pipeline.models.base import Objective, TrainableColorizer
from pipeline.models.method_list import METHODS, NETWORKS
from pipeline.models.methods.classification_cnn import ClassificationCnn
from pipeline.models.methods.iizuka import IizukaColorizer
from pipeline.models.methods.iizuka.spaces import chroma_of, target_unit
from pipeline.models.methods.patch import PatchColorizer
from pipeline.models.methods.regression_cnn import RegressionCnn
from pipeline.models.methods.unet import UnetColorizer
from pipeline.models.names import location

COLORIZERS = {
    "regression_cnn": lambda: RegressionCnn(0.125),
    "classification_cnn": lambda: ClassificationCnn(0.125),
    "unet": lambda: UnetColorizer(0.125),
    "unet, bins": lambda: UnetColorizer(0.125, head="classification"),
    "unet, lite0": lambda: UnetColorizer(encoder="efficientnet_lite0", head="both", frozen=5),
    "unet, lite0 as it is": lambda: UnetColorizer(
        0.5, encoder="efficientnet_lite0", head="both", frozen=16, global_branch=True
    ),
    "unet, global": lambda: UnetColorizer(0.125, global_branch=True),
    "patch": lambda: PatchColorizer(0.25),
    "iizuka": lambda: IizukaColorizer(0.125, global_side=64),
    "iizuka, rgb": lambda: IizukaColorizer(0.125, global_side=64, space="rgb"),
    "iizuka, yuv": lambda: IizukaColorizer(0.125, global_side=64, space="yuv"),
}
# A method that is not in the table yet is tested with its smallest network.
COLORIZERS |= {
    name: lambda method=method: method(**({"width": 0.125} if "width" in method.options else {}))
    for name, method in NETWORKS.items()
    if not any(key.split(",")[0] == name for key in COLORIZERS)
}


@pytest.fixture(autouse=True)
def same_start() -> None:
    """Networks begin from torch's global generator: a test must not depend on what ran before it."""
    torch.manual_seed(0)


def lightness(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1)) * 100


@pytest.mark.parametrize("method", list(COLORIZERS))
def test_the_interface(method: str) -> None:
    """Any size in multiples of 8; chroma at 1/2 or 1/4 of it; no image changes another's; nothing is kept."""
    colorizer = COLORIZERS[method]().eval()
    L_B1HW = lightness(2, 1, 40, 72)
    ab = colorizer.predict_ab(L_B1HW)
    assert (ab.shape[1], ab.dtype) == (2, torch.float32)
    assert ab.shape[2:] in ((20, 36), (10, 18))
    assert bool(torch.isfinite(ab).all())
    # Noise is nothing that the pretrained encoder knows: its maps of it are large.
    assert float(ab.abs().max()) < (1000 if method == "unet, lite0 as it is" else 200)
    alone = torch.cat([colorizer.predict_ab(L_B1HW[i : i + 1]) for i in (0, 1)])
    torch.testing.assert_close(alone, ab, rtol=1e-3, atol=1e-2)
    with pytest.raises(ValueError, match="multiples of 8"):
        colorizer.predict_ab(lightness(1, 1, 40, 70))
    with pytest.raises(ValueError, match="no guide scribbles"):
        colorizer.predict_ab(L_B1HW, {"scribbles": L_B1HW})


@pytest.mark.parametrize("method", list(COLORIZERS))
def test_its_metadata_builds_it_again(method: str) -> None:
    colorizer = COLORIZERS[method]()
    again = type(colorizer)(**colorizer.architecture())
    assert again.architecture() == colorizer.architecture()
    again.load_state_dict(colorizer.state_dict())
    assert colorizer.normalisation
    assert set(colorizer.options) <= set(type(colorizer).__init__.__annotations__)
    options = {name: colorizer.architecture().get(name) for name in colorizer.options}
    assert type(colorizer).checked_options(options) == options


@pytest.mark.parametrize("method", list(COLORIZERS))
def test_bfloat16_is_near(method: str) -> None:
    colorizer = COLORIZERS[method]().eval()
    L_B1HW = lightness(1, 1, 64, 64)
    exact = colorizer.predict_ab(L_B1HW)
    colorizer.precision = "bf16"
    error = float((colorizer.predict_ab(L_B1HW) - exact).abs().mean())
    assert error < 0.5 + 0.02 * float(exact.abs().mean())


def test_only_what_has_bins_measures_a_prior() -> None:
    measured = {method for method, make in COLORIZERS.items() if make().bin_head is not None}
    assert measured == {"classification_cnn", "unet, bins", "unet, lite0", "unet, lite0 as it is"}
    for method in measured:  # it travels with the weights
        assert any(name.endswith("prior_Q") for name in COLORIZERS[method]().state_dict())


def test_class_weights_change_the_loss_of_rare_colours() -> None:
    colorizer = ClassificationCnn(0.125)
    assert colorizer.bin_head is not None
    gray = torch.zeros(1, 2, 64, 64)
    index_of_gray = int((bins() == 0).all(1).nonzero())
    colorizer.bin_head.prior_Q.fill_(0.1 / 312)
    colorizer.bin_head.prior_Q[index_of_gray] = 0.9
    vivid = torch.tensor([70.0, 60.0])[None, :, None, None].expand(1, 2, 64, 64)
    L, label = lightness(1, 1, 64, 64), torch.tensor([-1])

    def ratio(objective: Objective) -> float:
        losses = [float(colorizer(L, ab, label, objective)["loss"].detach()) for ab in (vivid, gray)]
        return losses[0] / losses[1]

    assert ratio(Objective(uniform=0.5)) > 1.2 * ratio(Objective())


class TestSpaces:
    """What the network should say, decoded, is the colour that it was made from."""

    @pytest.mark.parametrize("space", ["lab", "yuv", "rgb"])
    def test_round_trip(self, space: str) -> None:
        L = torch.tensor([30.0, 50.0, 70.0]).reshape(3, 1, 1, 1)
        ab = torch.tensor([[20.0, 10.0], [-15.0, 25.0], [0.0, -20.0]]).reshape(3, 2, 1, 1)
        unit = target_unit(space, L, ab)
        assert unit.shape[1] == (3 if space == "rgb" else 2)
        assert 0 <= float(unit.min()) <= float(unit.max()) <= 1
        # Y of a colour is not that of the gray of its lightness: YUV cannot be exact without the true Y.
        tolerance = 6.0 if space == "yuv" else 0.05
        torch.testing.assert_close(chroma_of(space, unit, L), ab, rtol=0, atol=tolerance)

    @pytest.mark.parametrize("space", ["lab", "yuv"])
    def test_the_sigmoids_middle_is_gray(self, space: str) -> None:
        middle = chroma_of(space, torch.full((1, 2, 1, 1), 0.5), torch.full((1, 1, 1, 1), 60.0))
        torch.testing.assert_close(middle, torch.zeros(1, 2, 1, 1), rtol=0, atol=1e-3)


class TestUnetVariants:
    def test_two_networks_out_of_one(self) -> None:
        """They share the trunk's tensors and colour as the whole does with its own head."""
        both = UnetColorizer(0.125, head="both").eval()
        L_B1HW = lightness(1, 1, 64, 64)
        regression = both.variant("regression").eval()
        classification = both.variant("classification").eval()
        torch.testing.assert_close(regression.predict_ab(L_B1HW), both.predict_ab(L_B1HW))
        assert classification.predict_ab(L_B1HW).shape == (1, 2, 16, 16)
        assert both.classification is not None
        torch.testing.assert_close(
            classification.state_dict()["classification.weight"], both.classification.weight
        )
        assert len(regression.state_dict()) < len(both.state_dict())

    def test_a_blend_lies_between_its_heads(self) -> None:
        both = UnetColorizer(0.125, head="both").eval()
        L_B1HW = lightness(1, 1, 64, 64)
        regressed = both.variant("regression").eval().predict_ab(L_B1HW)
        classified = both.variant("classification").eval().predict_ab(L_B1HW)
        enlarged = torch.nn.functional.interpolate(classified, (32, 32), mode="bilinear")
        for blend, wanted in (
            (0.0, regressed),
            (0.25, 0.75 * regressed + 0.25 * enlarged),
            (1.0, classified),
        ):
            blended = UnetColorizer(0.125, head="both", blend=blend).eval()
            blended.load_state_dict(both.state_dict())
            torch.testing.assert_close(blended.predict_ab(L_B1HW), wanted)

    def test_others_have_none(self) -> None:
        assert UnetColorizer(0.125).variants() == ()
        with pytest.raises(ValueError, match="no variant 'regression'"):
            UnetColorizer(0.125).variant("regression")
        with pytest.raises(ValueError, match="no variant 'vivid'"):
            RegressionCnn(0.125).variant("vivid")

    def test_gain_multiplies_the_chroma(self) -> None:
        plain = UnetColorizer(0.125).eval()
        louder = UnetColorizer(0.125, gain=1.5).eval()
        louder.load_state_dict(plain.state_dict())
        L_B1HW = lightness(1, 1, 64, 64)
        torch.testing.assert_close(louder.predict_ab(L_B1HW), 1.5 * plain.predict_ab(L_B1HW))

    def test_any_size_is_padded_not_stretched(self) -> None:
        """The part of a picture that is there does not know what lies beyond the padded edge."""
        colorizer = UnetColorizer(0.125).eval()
        L_B1HW = lightness(1, 1, 64, 64)
        repeated = torch.cat([L_B1HW[:, :, :40], L_B1HW[:, :, 39:40].expand(-1, -1, 24, -1)], 2)
        torch.testing.assert_close(
            colorizer.predict_ab(L_B1HW[:, :, :40]), colorizer.predict_ab(repeated)[:, :, :20]
        )


def test_names_of_shipped_weights() -> None:
    assert location(None, "iizuka").endswith("iizuka.safetensors")
    assert location(None, f"iizuka#sha256={'0' * 64}").endswith(f"iizuka.safetensors#sha256={'0' * 64}")
    assert location("iizuka", "./other.safetensors") == "./other.safetensors"
    with pytest.raises(ConfigError, match=r"no weights 'izuka' ship .*shipped: .*iizuka"):
        location(None, "izuka")


def test_every_room_is_in_the_registry() -> None:
    for name, method in METHODS.items():
        assert method.method == name
        assert issubclass(method, TrainableColorizer) == method.trainable == (name in NETWORKS)
        assert method.needs <= method.guides
