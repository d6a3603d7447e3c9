"""Borders are found, and pictures without borders keep their colour."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.color.borders import Borders, find_borders, neutral_borders

RNG = np.random.default_rng(2)


def picture(height: int = 96, width: int = 128) -> np.ndarray:
    """A photograph's lightness: a soft sky over a busy ground."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    ground = 45 + 25 * np.sin(x / 5) * np.cos(y / 4)
    L = np.where(y < height / 3 + 4 * np.sin(x / 9), 78 - y / 8, ground)
    return (L + RNG.normal(0, 1, L.shape)).astype(np.float32)


def framed(level: float, borders: Borders) -> np.ndarray:
    inside = picture(96 - borders.top - borders.bottom, 128 - borders.left - borders.right)
    around = ((borders.top, borders.bottom), (borders.left, borders.right))
    L = np.pad(inside, around, constant_values=level)
    return (L + RNG.normal(0, 0.8, L.shape)).astype(np.float32)


borders = st.builds(Borders, *[st.sampled_from([0, 2, 5, 12])] * 4)


@given(st.sampled_from([2.0, 12.0, 97.0]), borders)
def test_margins_and_rebates_are_found_to_the_line(level: float, wanted: Borders) -> None:
    assert find_borders(framed(level, wanted)) == wanted


def test_skies_plain_walls_and_noise_are_no_borders() -> None:
    none = Borders(0, 0, 0, 0)
    assert find_borders(picture()) == none
    assert find_borders(np.full((96, 128), 60, np.float32)) == none
    assert find_borders(RNG.uniform(0, 100, (96, 128)).astype(np.float32)) == none
    assert find_borders(np.linspace(90, 20, 96, dtype=np.float32)[:, None].repeat(128, 1)) == none


@pytest.mark.parametrize("size", [(96, 128), (24, 32), (12, 16)])
def test_chroma_is_kept_inside_and_gone_in_the_border(size: tuple[int, int]) -> None:
    ab = np.full((2, *size), 20, np.float32)
    output = neutral_borders(ab, framed(97, Borders(8, 8, 8, 8)))
    scale = 96 // size[0]
    cut = 8 // scale + (8 % scale > 0)
    assert not output[:, :cut].any()
    assert not output[:, :, -cut:].any()
    assert (output[:, cut:-cut, cut:-cut] == 20).all()
    np.testing.assert_array_equal(neutral_borders(ab, picture()), ab)
