"""The U-Net learns labels from its vector of the whole picture, if it is configured to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from pipeline.models.base import Objective
from pipeline.models.methods.unet import UnetColorizer
from pipeline.training.settings import NetworkConfig

OPTIONS: dict[str, Any] = {"width": 0.125, "global_branch": True, "classify": True}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """So few pixels are quicker on one thread, and far quicker where others use the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def colorizer() -> UnetColorizer:
    torch.manual_seed(0)
    colorizer = UnetColorizer.start(OPTIONS, classes=3)
    assert isinstance(colorizer, UnetColorizer)
    colorizer.train()
    return colorizer


def losses_of(colorizer: UnetColorizer, labels: list[int], alpha: float) -> Any:
    L_B1HW = torch.rand(4, 1, 64, 64, generator=torch.Generator().manual_seed(1)) * 100
    return colorizer(L_B1HW, torch.full((4, 2, 64, 64), 20.0), torch.tensor(labels), Objective(alpha=alpha))


def test_labels_that_are_known_are_learned(colorizer: UnetColorizer) -> None:
    losses = losses_of(colorizer, [0, 1, -1, 2], 0.25)
    torch.testing.assert_close(losses["loss"], losses["color"] + 0.25 * losses["class"])
    optimizer = torch.optim.AdamW(colorizer.parameters(), lr=0.01)
    for _ in range(12):
        optimizer.zero_grad()
        step = losses_of(colorizer, [0, 1, -1, 2], 0.25)
        step["loss"].backward()
        optimizer.step()
    assert step["class"] < 0.5 * losses["class"]


def test_the_labels_reach_the_features_of_the_whole_picture(colorizer: UnetColorizer) -> None:
    """A label's gradient alone, without the colour's: it moves what the decoder sees too."""
    losses = {alpha: losses_of(colorizer, [0, 1, 2, 0], alpha)["loss"] for alpha in (0.0, 1.0)}
    (losses[1.0] - losses[0.0]).backward()
    for name in ("global_features.vector.0.weight", "encoder.levels.0.0.0.weight"):
        gradient = colorizer.get_parameter(name).grad
        assert gradient is not None
        assert gradient.abs().sum() > 1e-6


def test_photographs_without_labels_cost_nothing(colorizer: UnetColorizer) -> None:
    losses = losses_of(colorizer, [-1] * 4, 1.0)
    assert losses["class"] == 0
    torch.testing.assert_close(losses["loss"], losses["color"])


def test_it_colours_as_it_would_without(colorizer: UnetColorizer) -> None:
    again = UnetColorizer(**colorizer.architecture())
    again.load_state_dict(colorizer.state_dict())
    without = UnetColorizer(width=0.125, global_branch=True)
    without.load_state_dict({n: t for n, t in colorizer.state_dict().items() if "classifier" not in n})
    L_B1HW = torch.rand(1, 1, 64, 64) * 100
    expected = colorizer.eval().predict_ab(L_B1HW)
    assert again.classes == 3
    assert torch.equal(again.eval().predict_ab(L_B1HW), expected)
    assert torch.equal(without.eval().predict_ab(L_B1HW), expected)
    assert "classify" not in without.architecture()


def test_nobody_asked() -> None:
    plain = UnetColorizer.start({"width": 0.125, "global_branch": True}, classes=3)
    assert plain.classes == 0
    assert not [name for name in plain.state_dict() if "classifier" in name]


def test_without_a_vector_there_is_nothing_to_classify() -> None:
    with pytest.raises(ValueError, match="classify needs global_branch: true"):
        NetworkConfig.model_validate({"method": "unet", "classify": True})
