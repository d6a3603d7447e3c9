"""Brush strokes: exact discs along the path, later strokes over earlier ones, erasers, the thinnest line."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.color import spaces
from pipeline.guides.corrections import drawn_guide
from pipeline.guides.guide import BrushStroke
from pipeline.guides.strokes import draw_strokes
from pipeline.review.correction import Correction

GREEN, RED = "#1e8c3c", "#c81e1e"
SIDE, WIDTH, HEIGHT = 64, 128, 96  # of the hints and of the photograph: 64 x 48 pixels of 2 x 2
shares = st.floats(0, 1)
paths = st.lists(st.tuples(shares, shares), min_size=1, max_size=6).map(tuple)


def green_ab() -> np.ndarray:
    return spaces.srgb_to_lab(np.array([0x1E, 0x8C, 0x3C]) / 255)[1:]


def covered(*strokes: BrushStroke) -> np.ndarray:
    return draw_strokes(strokes, WIDTH, HEIGHT, SIDE)[2] > 0


def distances(path: tuple[tuple[float, float], ...]) -> np.ndarray:
    """Of each pixel's middle to the path, in pixels of the photograph; one segment after the other."""
    y, x = np.mgrid[0:48, 0:64] * 2.0 + 1
    middles = np.stack([x, y], axis=-1)
    points = np.array(path) * (WIDTH, HEIGHT)
    least = np.full((48, 64), np.inf)
    for start, end in zip(points, points[1:] if len(points) > 1 else points, strict=False):
        delta = end - start
        length = float(delta @ delta)
        share = np.clip((middles - start) @ delta / length, 0, 1) if length else np.zeros((48, 64))
        least = np.minimum(least, np.linalg.norm(middles - start - share[..., None] * delta, axis=-1))
    return least


@given(paths, st.floats(0.001, 0.5))
@settings(deadline=None, max_examples=80)
def test_what_is_covered_is_within_the_radius_of_the_path(path, radius) -> None:
    """Beside that only the pixels in which the path's own points lie."""
    is_covered, distance = covered(BrushStroke(GREEN, radius, path)), distances(path)
    wanted = max(radius * WIDTH, 1.0)
    assert is_covered[distance <= wanted - 1e-9].all()
    own = np.zeros_like(is_covered)
    for x, y in path:
        own[min(int(y * 48), 47), min(int(x * 64), 63)] = True
    assert not is_covered[(distance > wanted + 1e-9) & ~own].any()
    assert is_covered[own].all()


@given(st.tuples(shares, shares), st.tuples(shares, shares))
@settings(deadline=None, max_examples=40)
def test_the_thinnest_stroke_has_no_gap(start, end) -> None:
    rows, columns = np.nonzero(covered(BrushStroke(GREEN, 1e-9, (start, end))))
    places = rows if abs(end[1] - start[1]) * 48 > abs(end[0] - start[0]) * 64 else columns
    assert (np.diff(np.unique(places)) <= 1).all()
    assert len(rows) >= 1


def test_a_later_stroke_covers_an_earlier_one_and_an_eraser_takes_away_what_is_below_it() -> None:
    line = ((0.1, 0.5), (0.9, 0.5))
    red = BrushStroke(RED, 0.05, line)
    hints = draw_strokes([red, BrushStroke(GREEN, 0.05, line[:1])], WIDTH, HEIGHT, SIDE)
    np.testing.assert_allclose(hints[:2, 24, 6], green_ab(), atol=1e-4)
    assert hints[0, 24, 57] > 40
    assert set(np.unique(hints[2])) == {0, 1}
    eraser = BrushStroke(None, 0.1, line)
    assert not covered(red, eraser).any()
    assert covered(eraser, red).any()
    half = covered(red, BrushStroke(None, 0.1, line[:1]))
    assert half[24, 57]
    assert not half[24, 6]


def test_strokes_cover_the_same_part_of_the_photograph_at_any_size() -> None:
    stroke = [BrushStroke(GREEN, 0.1, ((0.25, 0.5), (0.75, 0.5)))]
    shares_covered = [draw_strokes(stroke, 4000, 3000, side)[2].mean() for side in (256, 1024)]
    wanted = (0.5 * 0.2 + np.pi * 0.1**2) * 4 / 3
    assert shares_covered == pytest.approx([wanted, wanted], rel=0.02)


def test_a_correction_becomes_a_guide_and_what_changes_nothing_none() -> None:
    stroke = {"color": RED, "radius": 0.02, "path": [[0.1, 0.2]]}
    eraser = {**stroke, "color": None}
    guide = drawn_guide(Correction(strokes=[eraser, stroke, eraser], chroma=0.5), 512)
    assert [one.color for one in guide.strokes] == [RED, None]
    assert (guide.side, guide.chroma, guide.kinds) == (512, 0.5, ("strokes", "chroma"))
    assert drawn_guide(Correction(strokes=[eraser], chroma=1), 512).kinds == ()
    assert drawn_guide(Correction(chroma=0), 512).chroma == 0
