"""Lightness in 16 bits, and its reduction to the network's size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.color import spaces
from pipeline.color.luminance import (
    downscale_luminance,
    luminance_u16_from_gray8,
    luminance_u16_from_gray16,
    luminance_u16_from_srgb8,
    model_size,
)


def test_lightness_of_colours_is_that_of_the_definition() -> None:
    rgb8 = np.random.default_rng(1).integers(0, 256, (64, 81, 3), dtype=np.uint8)
    rgb8[0, :9] = rgb8[0, :9] // 32  # the dark, linear piece
    expected = spaces.srgb_to_lab(rgb8 / 255)[..., 0] * spaces.L_U16_SCALE
    assert np.abs(luminance_u16_from_srgb8(rgb8) - expected).max() <= 0.51


def test_gray_has_one_lightness_however_it_is_stored() -> None:
    gray8 = np.arange(256, dtype=np.uint8).reshape(2, 128)
    l_u16 = luminance_u16_from_gray8(gray8)
    np.testing.assert_array_equal(l_u16, luminance_u16_from_srgb8(np.repeat(gray8[..., None], 3, axis=2)))
    assert (l_u16.flat[0], l_u16.flat[255]) == (0, 65535)


@pytest.mark.parametrize("depth", [8, 16])
def test_every_gray_level_is_looked_up_wherever_it_lies(depth: int) -> None:
    levels = np.arange(2**depth).astype(np.uint8 if depth == 8 else np.uint16).reshape(-1, 16)
    of_depth = luminance_u16_from_gray8 if depth == 8 else luminance_u16_from_gray16
    linear = spaces.srgb_to_linear(levels / (2**depth - 1))
    expected = np.asarray(spaces.lab_f(linear) * 116 - 16) * spaces.L_U16_SCALE
    levels.flags.writeable = False  # as pixels of a decoder's process are
    for way in ((slice(None), slice(None)), (slice(None, None, -1), slice(None, None, 3))):
        assert np.abs(of_depth(levels[way]) - expected[way]).max() <= 0.51


@given(st.integers(1, 9000), st.integers(1, 9000), st.integers(32, 700), st.sampled_from([8, 16]))
def test_model_size(height: int, width: int, side: int, multiple: int) -> None:
    h, w = model_size(height, width, side, multiple)
    assert h % multiple == 0
    assert w % multiple == 0
    assert min(h, w) >= 32
    assert max(h, w) <= side
    if min(height, width) > 32 and max(height, width) / min(height, width) < side / 48:
        scale = min(1, side / max(height, width))
        assert abs(h - height * scale) <= multiple
        assert abs(w - width * scale) <= multiple


def test_model_size_of_the_odd_ones() -> None:
    assert model_size(1, 1, 384) == (32, 32)
    assert model_size(20, 30, 384) == (32, 48)
    assert model_size(5000, 1, 384) == (384, 32)
    assert model_size(3000, 4000, 384) == (288, 384)
    with pytest.raises(ValueError, match="side 24"):
        model_size(10, 10, 24)


def test_downscaling_averages_every_pixel() -> None:
    checker = np.indices((640, 960)).sum(axis=0) % 2 * 65535
    small = downscale_luminance(checker.astype(np.uint16), 96)
    assert small.shape == (64, 96)
    assert small.dtype == np.float32
    np.testing.assert_allclose(small, 50, atol=0.5)


def test_downscaling_keeps_range_and_place() -> None:
    ramp = np.tile(np.linspace(0, 65535, 500), (300, 1)).astype(np.uint16)
    small = downscale_luminance(ramp, 160)
    expected = (np.arange(small.shape[1]) + 0.5) / small.shape[1] * 100
    np.testing.assert_allclose(small[10, 1:-1], expected[1:-1], atol=0.2)
    assert downscale_luminance(np.full((1, 7), 65535, np.uint16), 64).max() == pytest.approx(100)


def test_wrong_arrays_are_refused() -> None:
    with pytest.raises(ValueError, match="uint8"):
        luminance_u16_from_srgb8(np.zeros((2, 2), np.uint8))
    with pytest.raises(ValueError, match="uint8"):
        luminance_u16_from_gray8(np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(ValueError, match="uint16"):
        downscale_luminance(np.zeros((2, 2), np.float32), 64)  # type: ignore[arg-type]
