"""Brush strokes as hints: every pixel whose centre is covered by a disc that moves along the path."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from pipeline.color import spaces
from pipeline.color.luminance import model_size
from pipeline.guides.guide import BrushStroke

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

_SEGMENTS = 256  # of a path at a time: what is computed of them takes 100 bytes for each row of the hints


def draw_strokes(strokes: Iterable[BrushStroke], width: int, height: int, side: int) -> F32:
    """Strokes over a photograph of `width` x `height` pixels, upright, as `scribbles.read_scribbles` has
    hints.

    A later stroke covers an earlier one; an eraser removes what is below it. A stroke is at least one pixel
    of the hints wide. If nothing remains, the confidence is 0 everywhere.
    """
    h, w = model_size(height, width, side)
    hints = np.zeros((3, h, w), np.float32)
    for stroke in strokes:
        covered = _covered(stroke, width, height, h, w)
        if stroke.color is None:
            hints[:, covered] = 0
        else:
            rgb = np.frombuffer(bytes.fromhex(stroke.color.removeprefix("#")), np.uint8)
            hints[:2, covered] = spaces.srgb_to_lab(rgb[None] / 255)[0, 1:, None]
            hints[2, covered] = 1
    return hints


def _covered(stroke: BrushStroke, width: int, height: int, h: int, w: int) -> NDArray[np.bool_]:
    """bool[h,w]: which pixels of the hints the brush covers.

    A disc that moves along a straight line covers a convex shape: of each row of pixels one interval. All
    that begin and end in a row are added up along it.
    """
    path_N2 = np.asarray(stroke.path, np.float64)
    across, down = width / w, height / h  # pixels of the photograph in one of the hints
    radius = max(stroke.radius * max(width, height), 0.5 * max(across, down))
    edges = np.zeros(h * (w + 1), np.int64)
    y_N = path_N2[:, 1] * height
    rows = np.arange(max(0, int((y_N.min() - radius) / down)), min(h, int((y_N.max() + radius) / down) + 1))
    for starts_S2, ends_S2 in _segments(path_N2 * (width, height)):
        y_h = (rows.astype(np.float64) + 0.5) * down
        left_Sh, right_Sh = _intervals(starts_S2, ends_S2, radius, y_h)
        first = np.clip(np.ceil(left_Sh / across - 0.5), 0, w)
        last = np.clip(np.floor(right_Sh / across - 0.5) + 1, 0, w)
        segment, row = np.nonzero(first < last)
        for sign, place in ((1, first), (-1, last)):
            at = rows[row] * (w + 1) + place[segment, row].astype(np.int64)
            edges += sign * np.bincount(at, minlength=edges.size)
    covered: NDArray[np.bool_] = np.cumsum(edges.reshape(h, w + 1), axis=1)[:, :w] > 0
    x, y = np.minimum((path_N2 * (w, h)).astype(np.int64), (w - 1, h - 1)).T
    covered[y, x] = True  # a dot between the middles of pixels
    return covered


def _segments(path_N2: F64) -> Iterator[tuple[F64, F64]]:
    """Beginnings and ends of the straight parts of a path; of a dot one that ends where it begins."""
    starts, ends = (path_N2[:-1], path_N2[1:]) if len(path_N2) > 1 else (path_N2, path_N2)
    for first in range(0, len(starts), _SEGMENTS):
        part = slice(first, first + _SEGMENTS)
        yield starts[part], ends[part]


def _intervals(starts_S2: F64, ends_S2: F64, radius: float, y_h: F64) -> tuple[F64, F64]:
    """Where a disc that moves from start to end crosses the lines at `y_h`: float64[S,h] from and to, from
    above to where it does not.

    The shape is both discs and the rectangle between them. It is convex, so its interval goes from the
    leftmost to the rightmost of theirs.
    """
    parts = [_disc(starts_S2, radius, y_h), _disc(ends_S2, radius, y_h)]
    parts.append(_rectangle(starts_S2, ends_S2, radius, y_h))
    left = np.minimum.reduce([part[0] for part in parts])
    return left, np.maximum.reduce([part[1] for part in parts])


def _disc(centre_S2: F64, radius: float, y_h: F64) -> tuple[F64, F64]:
    squares = radius**2 - (y_h - centre_S2[:, 1, None]) ** 2
    half = np.sqrt(np.maximum(squares, 0))
    x = centre_S2[:, 0, None]
    return np.where(squares >= 0, x - half, np.inf), np.where(squares >= 0, x + half, -np.inf)


def _rectangle(starts_S2: F64, ends_S2: F64, radius: float, y_h: F64) -> tuple[F64, F64]:
    """The points whose foot lies on the segment and whose distance from its line is at most the radius."""
    delta = ends_S2 - starts_S2
    length = np.hypot(delta[:, 0], delta[:, 1])
    unit = delta / np.where(length > 0, length, 1)[:, None]
    x, dy = starts_S2[:, 0, None], y_h - starts_S2[:, 1, None]
    along = _between(unit[:, 0, None], dy * unit[:, 1, None], 0, length[:, None])
    beside = _between(-unit[:, 1, None], dy * unit[:, 0, None], -radius, radius)
    left, right = np.maximum(along[0], beside[0]), np.minimum(along[1], beside[1])
    inside = (left <= right) & (length[:, None] > 0)
    return np.where(inside, x + left, np.inf), np.where(inside, x + right, -np.inf)


def _between(slope: F64, offset: F64, least: float, most: float | F64) -> tuple[F64, F64]:
    """For which t `least <= slope t + offset <= most`: from and to, from above to where for none."""
    flat = slope == 0
    divisor = np.where(flat, 1, slope)
    with np.errstate(over="ignore"):  # of nearly flat ones infinity is right
        one, other = (least - offset) / divisor, (most - offset) / divisor
    always = (least <= offset) & (offset <= most)
    left = np.where(flat, np.where(always, -np.inf, np.inf), np.minimum(one, other))
    right = np.where(flat, np.where(always, np.inf, -np.inf), np.maximum(one, other))
    return left, right
