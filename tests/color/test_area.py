"""Reduced pictures: each pixel is the mean of its area, however the rows arrive."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.color.area import AreaMean, area_mean, size_within


def shares(full: int, small: int) -> NDArray[np.float64]:
    """What each pixel of a line of `full` gives to each of `small`, as the definition has it."""
    edges = np.arange(small + 1) * full / small
    at = np.arange(full)
    covered = np.minimum(at + 1, edges[1:, None]) - np.maximum(at, edges[:-1, None])
    return np.clip(covered, 0, None) * small / full


def picture(shape: tuple[int, ...], dtype: Any, seed: int = 0) -> NDArray[Any]:
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from([1, 3]), st.integers(1, 64), st.booleans())
def test_every_pixel_is_the_mean_of_its_area(
    height: int, width: int, channels: int, side: int, deep: bool
) -> None:
    shape = (height, width) if channels == 1 else (height, width, 3)
    large = picture(shape, np.uint16 if deep else np.uint8, height)
    small = area_mean(large, side)
    assert small.dtype == large.dtype
    assert small.shape[:2] == size_within(height, width, side)
    rows, columns = shares(height, small.shape[0]), shares(width, small.shape[1])
    wanted = np.einsum("yi,ij...,xj->yx...", rows, large.astype(float), columns)
    assert np.abs(small - wanted).max() <= (0.52 if deep else 0.5001)


@pytest.mark.slow
def test_strips_give_the_same_levels_as_the_whole() -> None:
    large = picture((97, 61, 3), np.uint8)
    large.flags.writeable = False  # as pixels of a decoder's process are
    reducing = AreaMean(97, 61, 3, 40)
    for top in range(0, 97, 13):
        reducing.add(large[top : top + 13])
    np.testing.assert_array_equal(reducing.result(), area_mean(large, 40))


def test_what_is_small_enough_stays_as_it_is() -> None:
    small = picture((20, 30), np.uint8)
    same = area_mean(small, 30)
    np.testing.assert_array_equal(same, small)
    assert not np.shares_memory(same, small), "the decoder writes its next picture there"
    assert size_within(1, 70_000, 360) == (1, 360)


def test_rows_that_are_missing_or_too_many_are_refused() -> None:
    reducing = AreaMean(10, 12, 1, 5)
    with pytest.raises(ValueError, match="only 0 of 10 rows"):
        reducing.result()
    reducing.add(picture((8, 12), np.uint8))
    for rows in (picture((3, 12), np.uint8), picture((2, 11), np.uint8), picture((2, 12, 3), np.uint8)):
        with pytest.raises(ValueError, match="expected uint8 or uint16"):
            reducing.add(rows)
