"""Find uniform borders of a scan (paper margins, film rebates, scanner lid), to keep them neutral.

A border is a strip along an edge of the picture whose every line is of one lightness, and which ends in a
step. The step tells it from a clear sky, which is as uniform and ends softly or in a ragged line. Borders
that are not straight or lie askew are not found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]

_UNIFORM = 6.0  # most L* between the 5th and the 95th percentile of a line: paper has grain and stains
_STEP = 6.0  # least L* between the last line of a border and the picture ...
_STEP_SHARE = 0.5  # ... in so much of its length: a picture is white in places, too
_STEP_LINES = 2  # lines that a step may take: the network's input is a reduced image
_DEEPEST = 0.15  # of the side


@dataclass(frozen=True)
class Borders:
    """Lines of border at each edge."""

    top: int
    bottom: int
    left: int
    right: int


def find_borders(L_hw: F32) -> Borders:
    """The uniform borders of L* float32[h,w] in [0, 100]."""
    top, bottom = _depth(L_hw), _depth(L_hw[::-1])
    between = L_hw[top : L_hw.shape[0] - bottom].T
    return Borders(top, bottom, _depth(between), _depth(between[::-1]))


def _depth(lines: F32) -> int:
    """How many lines from the first on are border."""
    most = min(int(len(lines) * _DEEPEST), len(lines) - _STEP_LINES)
    low, high = np.percentile(lines[:most], (5, 95), axis=1) if most > 0 else (np.empty(0), np.empty(0))
    depth = 0
    for line, uniform in enumerate(high - low <= _UNIFORM):
        if not uniform:
            break
        step = np.abs(lines[line + 1 : line + 1 + _STEP_LINES] - np.median(lines[line])).max(axis=0)
        if float((step >= _STEP).mean()) >= _STEP_SHARE:
            depth = line + 1
    return depth


def neutral_borders(ab_2hw: F32, L_hw: F32) -> F32:
    """The chroma float32[2,h',w'] of a picture with L* float32[h,w], 0 in its borders."""
    borders = find_borders(L_hw)
    inside_h = _inside(ab_2hw.shape[1], L_hw.shape[0], borders.top, borders.bottom)
    inside_w = _inside(ab_2hw.shape[2], L_hw.shape[1], borders.left, borders.right)
    return ab_2hw * (inside_h[:, None] * inside_w)


def _inside(count: int, lines: int, before: int, behind: int) -> F32:
    """1 for each of `count` samples that lies wholly between the borders, else 0: upsampling blends them."""
    edges = np.arange(count + 1) * (lines / count)
    return ((edges[:-1] >= before) & (edges[1:] <= lines - behind)).astype(np.float32)
