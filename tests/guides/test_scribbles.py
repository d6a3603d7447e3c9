"""Scribbles and points become hints: the right colour at the right place, thin strokes included."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.color import spaces
from pipeline.errors import FailureCode, ImageFailure
from pipeline.guides.scribbles import draw_points, merge_hints, read_scribbles
from tests.support.job_runner import encoded

GREEN = (30, 140, 60)
GREEN_AB = spaces.srgb_to_lab(np.array(GREEN) / 255)[1:]


def drawing(width: int, height: int) -> np.ndarray:
    return np.zeros((height, width, 4), np.uint8)


def png(rgba: np.ndarray) -> bytes:
    return encoded(Image.fromarray(rgba), "PNG")


def refused(said: str):
    return pytest.raises(ImageFailure, match=said)


def test_a_stroke_keeps_its_colour_and_place() -> None:
    rgba = drawing(640, 480)
    rgba[100:120, 200:300] = (*GREEN, 255)
    hints = read_scribbles(png(rgba), 640, 480, 320)
    assert (hints.dtype, hints.shape) == (np.float32, (3, 240, 320))
    assert (hints[2, 50:60, 100:150] == 1).all()
    assert hints[2].sum() == 10 * 50
    np.testing.assert_allclose(hints[:2, 55, 120], GREEN_AB, atol=1e-4)


@given(st.integers(0, 3999), st.integers(1, 255))
@settings(deadline=None, max_examples=10)
def test_a_line_of_one_pixel_survives_any_reduction(column: int, alpha: int) -> None:
    """With its whole confidence and its own colour, although it fills but a part of a pixel."""
    rgba = drawing(4000, 64)
    rgba[:, column] = (*GREEN, alpha)
    hints = read_scribbles(png(rgba), 4000, 64, 512)
    place = column * hints.shape[2] // 4000
    np.testing.assert_allclose(hints[2, :, place], alpha / 255, atol=1e-6)
    np.testing.assert_allclose(hints[:2, 0, place], GREEN_AB, atol=1e-4)
    assert (np.delete(hints[2], place, axis=1) == 0).all()


def test_colours_of_one_pixel_are_weighted_by_their_alpha() -> None:
    rgba = drawing(64, 64)
    rgba[0, 0], rgba[0, 1] = (*GREEN, 255), (128, 128, 128, 51)
    hints = read_scribbles(png(rgba), 64, 64, 32)
    np.testing.assert_allclose(hints[:2, 0, 0], GREEN_AB * 255 / (255 + 51), atol=1e-4)
    assert hints[2, 0, 0] == 1


def test_a_smaller_drawing_covers_the_same_part_of_the_photograph() -> None:
    rgba = drawing(64, 48)
    rgba[12:24, 16:32] = (*GREEN, 255)
    hints = read_scribbles(png(rgba), 4000, 3000, 512)
    assert hints.shape == (3, 384, 512)
    assert (hints[2, 96:192, 128:256] == 1).all()
    assert hints[2].sum() == 96 * 128


@pytest.mark.parametrize("mode", ["LA", "P", "RGBA"])
def test_any_png_with_transparency(mode: str) -> None:
    rgba = drawing(40, 40)
    rgba[10:20, 10:20] = (90, 90, 90, 255)
    image = Image.fromarray(rgba)
    data = encoded(image.quantize(8) if mode == "P" else image.convert(mode), "PNG")
    hints = read_scribbles(data, 40, 40, 40)
    assert hints[2].sum() == 100
    np.testing.assert_allclose(hints[:2, 15, 15], 0, atol=1e-4)


def test_what_is_no_scribble_says_so_in_one_line() -> None:
    fine = drawing(40, 30)
    fine[3, 3] = (*GREEN, 255)
    with refused("are not a PNG") as raised:
        read_scribbles(b"GIF89a", 40, 30, 512)
    assert raised.value.code == FailureCode.GUIDE_INVALID
    with refused("of 40 x 30 do not fit a photograph of 50 x 30"):
        read_scribbles(png(fine), 50, 30, 512)
    with refused("no alpha channel"):
        read_scribbles(encoded(Image.new("RGB", (40, 30)), "PNG"), 40, 30, 512)
    with refused("alpha is 0 everywhere"):
        read_scribbles(png(drawing(40, 30)), 40, 30, 512)
    with refused("cannot be decoded"):
        read_scribbles(png(fine)[:60], 40, 30, 512)
    with refused("too large"):
        read_scribbles(png(drawing(4000, 3000)), 40, 30, 512)


def test_points_are_discs_in_pixels_of_the_photograph() -> None:
    hints = draw_points([(400, 300, "#1e8c3c", 40)], 800, 600, 400)
    assert hints.shape == (3, 304, 400)
    assert hints[2].sum() == pytest.approx(np.pi * 20 * 20 * 304 / 300, rel=0.03)
    np.testing.assert_allclose(hints[:2, 152, 200], GREEN_AB, atol=1e-4)


@given(st.floats(0, 3999), st.floats(0, 2999))
@settings(deadline=None, max_examples=30)
def test_the_smallest_point_is_one_pixel_or_more_wherever_it_lies(x: float, y: float) -> None:
    hints = draw_points([(x, y, "#1E8C3C", 0.5)], 4000, 3000, 512)
    assert 1 <= hints[2].sum() <= 4
    assert hints[2, round((y + 0.5) * 384 / 3000 - 0.5), round((x + 0.5) * 512 / 4000 - 0.5)] == 1


def test_what_is_drawn_later_lies_above() -> None:
    both = draw_points([(50, 50, "#ff0000", 30), (50, 50, "#1e8c3c", 5)], 100, 100, 96)
    np.testing.assert_allclose(both[:2, 48, 48], GREEN_AB, atol=1e-4)
    red = draw_points([(50, 50, "#ff0000", 30)], 100, 100, 96)
    merged = merge_hints(red, draw_points([(50, 50, "#1e8c3c", 5)], 100, 100, 96))
    np.testing.assert_array_equal(merged, both)


def test_points_outside_or_none_are_refused() -> None:
    with refused("lies outside the photograph of 100 x 80"):
        draw_points([(99, 80, "#ff0000", 3)], 100, 80, 96)
    with refused("no points"):
        draw_points([], 100, 80, 96)
