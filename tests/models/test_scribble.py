"""The interface of the scribble method. What it computes is tested in test_propagation.py."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.errors import ConfigError
from pipeline.models.method_list import load_colorizer, weights_digest
from pipeline.models.methods.scribble import ScribbleColorizer
from pipeline.models.names import location
from pipeline.models.propagation import propagate


def batch(count: int = 2, height: int = 40, width: int = 48) -> tuple[Tensor, Tensor]:
    """L and scribbles: in each image one stroke of its own colour."""
    L_B1HW = torch.rand((count, 1, height, width), generator=torch.Generator().manual_seed(0)) * 100
    hints = torch.zeros(count, 3, height, width)
    for number in range(count):
        hints[number, :, 4 + number, 8:30] = torch.tensor([20.0 - 30 * number, 15.0, 1.0])[:, None]
    return L_B1HW, hints


def test_each_image_is_solved_by_its_own_scribbles() -> None:
    L_B1HW, hints = batch()
    both = ScribbleColorizer().predict_ab(L_B1HW, {"scribbles": hints})
    assert (both.shape, both.dtype) == ((2, 2, 40, 48), torch.float32)
    for number in range(2):
        alone = propagate(L_B1HW[number, 0].numpy(), hints[number, :2].numpy(), hints[number, 2].numpy())
        np.testing.assert_array_equal(both[number].numpy(), alone)


def test_what_is_missing_or_does_not_fit_is_named() -> None:
    L_B1HW, hints = batch()
    method = ScribbleColorizer()
    with pytest.raises(ValueError, match="scribble needs the guide scribbles"):
        method.predict_ab(L_B1HW)
    with pytest.raises(ValueError, match="no guide style"):
        method.predict_ab(L_B1HW, {"scribbles": hints, "style": L_B1HW})
    with pytest.raises(ValueError, match=re.escape("size (40, 48); got (32, 48)")):
        method.predict_ab(L_B1HW, {"scribbles": hints[:, :, :32]})
    with pytest.raises(ValueError, match="2 x 3 x h x w"):
        method.predict_ab(L_B1HW, {"scribbles": hints[:, :2]})


def test_it_loads_without_weights() -> None:
    loaded = load_colorizer("scribble", None)
    assert (loaded.method, loaded.precision) == ("scribble", "fp32")
    assert re.fullmatch("[0-9a-f]{64}", loaded.weights_digest)
    assert loaded.weights_digest == weights_digest("scribble", None) != weights_digest("welsh", None)
    with pytest.raises(ConfigError, match="has no weights"):
        location("scribble", "faithful")
