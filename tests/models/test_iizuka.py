"""The network against the paper's Table 1, and the promises of the model interface."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pipeline.models.base import Objective
from pipeline.models.methods.iizuka import AB_RANGE, IizukaColorizer
from pipeline.models.methods.iizuka.network import IizukaNetwork
from pipeline.models.methods.iizuka.spaces import ab_to_unit, unit_to_ab

# Paper, Table 1: (input channels, output channels, stride) of every 3x3 convolution, in order.
LOW = [(1, 64, 2), (64, 128, 1), (128, 128, 2), (128, 256, 1), (256, 256, 2), (256, 512, 1)]
MID = [(512, 512, 1), (512, 256, 1)]
GLOBAL = [(512, 512, 2), (512, 512, 1), (512, 512, 2), (512, 512, 1)]
GLOBAL_LINEAR = [(7 * 7 * 512, 1024), (1024, 512), (512, 256)]
COLORIZATION = [(256, 128, 1), (128, 64, 1), (64, 64, 1), (64, 32, 1)]


def convolutions(module: nn.Module) -> list[tuple[int, int, int]]:
    results = [m for m in module.modules() if isinstance(m, nn.Conv2d)]
    assert all(m.kernel_size == (3, 3) and m.padding == (1, 1) for m in results)
    return [(m.in_channels, m.out_channels, m.stride[0]) for m in results]


def linears(module: nn.Module) -> list[tuple[int, int]]:
    return [(m.in_features, m.out_features) for m in module.modules() if isinstance(m, nn.Linear)]


@pytest.fixture(autouse=True)
def same_start() -> None:
    """Networks begin from torch's global generator: a test must not depend on what ran before it."""
    torch.manual_seed(0)


def filled(colorizer: IizukaColorizer, seed: int = 0) -> IizukaColorizer:
    """Random weights far enough from the start that outputs differ visibly from gray."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in colorizer.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return colorizer.eval()


def lightness(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 100


class TestAgainstThePaper:
    network = IizukaNetwork(width=1.0, classes=365)

    def test_layers(self) -> None:
        network = self.network
        assert network.global_features is not None
        assert network.classifier is not None
        assert convolutions(network.low) == LOW
        assert convolutions(network.mid) == MID
        assert convolutions(network.global_features) == GLOBAL
        assert linears(network.global_features) == GLOBAL_LINEAR
        assert linears(network.classifier) == [(512, 256), (256, 365)]
        assert convolutions(network.colorization) == [*COLORIZATION, (32, 2, 1)]
        assert network.fusion.conv.weight.shape == (256, 512, 1, 1)

    def test_parameter_count(self) -> None:
        normed = LOW + MID + GLOBAL + COLORIZATION
        expected = sum(9 * i * o + 2 * o for i, o, _ in normed)  # kernels, and batch norm's scale and shift
        expected += sum(i * o + 2 * o for i, o in [*GLOBAL_LINEAR, (512, 256)])
        expected += (512 * 256 + 256 + 2 * 256) + (9 * 32 * 2 + 2) + (256 * 365 + 365)
        counted = sum(p.numel() for p in self.network.parameters())
        assert counted == expected
        assert 42.0e6 < counted < 42.5e6

    def test_feature_sizes(self) -> None:
        """28x28 low-level features of a 224x224 image, the 512- and the 256-vector, ab at half size."""
        network = self.network.eval()
        assert network.global_features is not None
        with torch.inference_mode():
            low = network.low(torch.rand(1, 1, 224, 224))
            vector, code = network.global_features(low)
            ab, logits = network(torch.rand(1, 1, 224, 224))
        assert logits is not None
        assert low.shape == (1, 512, 28, 28)
        assert (vector.shape, code.shape) == ((1, 512), (1, 256))
        assert (ab.shape, logits.shape) == ((1, 2, 112, 112), (1, 365))

    def test_every_hidden_layer_is_normalised(self) -> None:
        norms = sum(isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d) for m in self.network.modules())
        layers = sum(isinstance(m, nn.Conv2d | nn.Linear) for m in self.network.modules())
        assert layers - norms == 2  # the two outputs: chroma and classes


def test_fusion_is_the_1x1_convolution_over_both() -> None:
    network = filled(IizukaColorizer(0.25)).network
    mid, code = torch.rand(2, 64, 5, 7), torch.rand(2, 64)
    both = torch.cat([code[:, :, None, None].expand(-1, -1, 5, 7), mid], dim=1)
    expected = torch.relu(network.fusion.norm(network.fusion.conv(both)))
    torch.testing.assert_close(network.fusion(mid, code), expected, rtol=1e-4, atol=1e-5)


def test_baseline_has_no_global_features() -> None:
    baseline = IizukaColorizer(0.125, classes=5, global_branch=False)
    assert baseline.network.global_features is None
    assert baseline.network.classifier is None
    assert baseline.network.fusion.conv.in_channels == baseline.network.fusion.conv.out_channels
    assert filled(baseline).predict_ab(lightness(1, 1, 64, 72)).shape == (1, 2, 32, 36)


def test_low_level_weights_are_shared_between_branches() -> None:
    """The 224x224 path runs through the same layers, twice for another size and once for its own."""
    colorizer = filled(IizukaColorizer(0.125))
    sizes: list[tuple[int, ...]] = []
    colorizer.network.low.register_forward_hook(lambda _m, inputs, _o: sizes.append(tuple(inputs[0].shape)))
    colorizer.predict_ab(lightness(1, 1, 64, 96))
    assert sizes == [(1, 1, 64, 96), (1, 1, 224, 224)]
    sizes.clear()
    colorizer.predict_ab(lightness(1, 1, 224, 224))
    assert sizes == [(1, 1, 224, 224)]


def test_the_resized_copy_at_224_is_the_same_as_none() -> None:
    network = filled(IizukaColorizer(0.125)).network
    x = lightness(1, 1, 224, 224) / 100
    torch.testing.assert_close(network(x)[0], network(x, x)[0])


@pytest.mark.parametrize("size", [(8, 8), (64, 40), (200, 328), (224, 224)])
def test_any_multiple_of_8(size: tuple[int, int]) -> None:
    ab = filled(IizukaColorizer(0.125)).predict_ab(lightness(1, 1, *size))
    assert ab.shape == (1, 2, size[0] // 2, size[1] // 2)
    assert ab.dtype == torch.float32
    assert AB_RANGE[0] <= float(ab.min()) < float(ab.max()) <= AB_RANGE[1]


@pytest.mark.parametrize("shape", [(1, 1, 60, 64), (1, 3, 64, 64), (1, 64, 64), (0, 1, 64, 64)])
def test_wrong_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="multiples of 8"):
        IizukaColorizer(0.125).eval().predict_ab(torch.zeros(shape))


def test_unknown_guides_are_refused() -> None:
    with pytest.raises(ValueError, match="scribbles"):
        IizukaColorizer(0.125).eval().predict_ab(lightness(1, 1, 64, 64), {"scribbles": torch.zeros(1)})


def test_ab_units() -> None:
    """A sigmoid of one half is gray, its ends are the ends of AB_RANGE; nothing in sRGB lies outside."""
    colorizer = IizukaColorizer(0.125).eval()
    output = colorizer.network.colorization.output
    for bias, expected in [(0.0, 0.0), (50.0, AB_RANGE[1]), (-50.0, AB_RANGE[0])]:
        nn.init.zeros_(output.weight)
        nn.init.constant_(output.bias, bias)  # type: ignore[arg-type]
        ab = colorizer.predict_ab(lightness(1, 1, 64, 64))
        assert float((ab - expected).abs().max()) < 1e-4
    extremes = torch.tensor([-107.86, -86.18, 0.0, 94.48, 98.25])
    torch.testing.assert_close(unit_to_ab(ab_to_unit(extremes)), extremes)
    assert float(ab_to_unit(extremes).min()) > 0
    assert float(ab_to_unit(extremes).max()) < 1


def test_an_image_does_not_change_its_neighbours() -> None:
    colorizer = filled(IizukaColorizer(0.125))
    L_B1HW = lightness(3, 1, 64, 64) * torch.tensor([1.0, 0.5, 0.1])[:, None, None, None]
    together = colorizer.predict_ab(L_B1HW)
    alone = torch.cat([colorizer.predict_ab(L_B1HW[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-3)
    assert float((together[0] - together[1]).abs().max()) > 0.02  # they are not all the same picture


def test_bf16_is_fine_grained_and_close_to_fp32() -> None:
    """The output layer stays float32: bfloat16 near a sigmoid of 0.5 would give steps of 0.86 ab units."""
    colorizer = filled(IizukaColorizer(0.125))
    L_B1HW = lightness(1, 1, 96, 96)
    exact = colorizer.predict_ab(L_B1HW)
    colorizer.precision = "bf16"
    coarse = colorizer.predict_ab(L_B1HW)
    assert coarse.dtype == torch.float32
    assert coarse.unique().numel() > 1000
    assert float((coarse - exact).abs().mean()) < 0.5


def losses(colorizer: IizukaColorizer, label: list[int], **settings: object) -> dict[str, Tensor]:
    ab = torch.full((2, 2, 224, 224), 20.0)
    objective = Objective(**({"alpha": 0.5} | settings))  # type: ignore[arg-type]
    return colorizer(lightness(2, 1, 224, 224), ab, torch.tensor(label), objective)  # type: ignore[no-any-return]


def test_losses() -> None:
    colorizer = filled(IizukaColorizer(0.125, classes=4))
    mean, total = losses(colorizer, [0, -1]), losses(colorizer, [0, -1], reduction="sum")
    torch.testing.assert_close(total["color"], mean["color"] * (2 * 112 * 112), rtol=1e-4, atol=0)
    torch.testing.assert_close(mean["loss"], mean["color"] + 0.5 * mean["class"])
    torch.testing.assert_close(losses(colorizer, [0, 2], alpha=0.0)["loss"], mean["color"])
    unlabelled = losses(colorizer, [-1, -1])
    assert float(unlabelled["class"].detach()) == 0
    assert bool(torch.isfinite(unlabelled["loss"]))
