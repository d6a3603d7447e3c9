"""Make pictures smaller: every pixel of the small picture is the mean of the area that it covers.

The mean is taken over encoded levels, as in most thumbnail programs. One pass over the pixels, on one thread,
without the GIL. Sums have single precision: of 8 bits they are exact, however rows come.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.color.compiled import compiled

Levels = NDArray[Any]  # uint8 or uint16
_HALF = np.float32(0.5)


def size_within(height: int, width: int, side: int) -> tuple[int, int]:
    """The (height, width) of a picture whose longer side has at most `side` pixels; nothing is enlarged."""
    scale = min(1.0, side / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


@compiled
def _add(acc: Any, row: Any, weight: Any) -> None:
    for i in range(row.shape[0]):
        acc[i] += np.float32(row[i]) * weight


@compiled
def _add_four(acc: Any, a: Any, b: Any, c: Any, d: Any, weight: Any) -> None:
    """Of four rows at once, for the sums take more of the cache than the rows."""
    for i in range(a.shape[0]):
        acc[i] += np.float32(np.int32(a[i]) + np.int32(b[i]) + np.int32(c[i]) + np.int32(d[i])) * weight


@compiled
def _begin(acc: Any, row: Any, weight: Any) -> None:
    for i in range(row.shape[0]):
        acc[i] = np.float32(row[i]) * weight


@compiled
def _narrow_1(acc: Any, spans: Any, weights: Any, out: Any) -> None:
    """Sums of whole rows to one row of the small picture."""
    for x in range(out.shape[0]):
        first, last = spans[0, x], spans[1, x]
        total = acc[first] * weights[0, x] + acc[last] * weights[1, x]
        for column in range(first + 1, last):
            total += acc[column]
        out[x] = total * weights[2, x] + _HALF


@compiled
def _narrow_3(acc: Any, spans: Any, weights: Any, out: Any) -> None:
    """As `_narrow_1`, of three channels: three sums that need not wait for each other."""
    for x in range(out.shape[0] // 3):
        first, last = spans[0, x], spans[1, x]
        before, after, scale = weights[0, x], weights[1, x], weights[2, x]
        i, k = 3 * first, 3 * last
        red = acc[i] * before + acc[k] * after
        green = acc[i + 1] * before + acc[k + 1] * after
        blue = acc[i + 2] * before + acc[k + 2] * after
        for column in range(first + 1, last):
            j = 3 * column
            red += acc[j]
            green += acc[j + 1]
            blue += acc[j + 2]
        out[3 * x] = red * scale + _HALF
        out[3 * x + 1] = green * scale + _HALF
        out[3 * x + 2] = blue * scale + _HALF


@compiled
def _add_rows(
    rows: Any, top: Any, height: Any, acc: Any, spans: Any, weights: Any, channels: Any, out: Any
) -> None:
    """Rows from `top` on, of a picture of `height` rows. In units of 1/height of a small row, each is as high
    as the small picture has rows, and reaches into two of these at most."""
    share, i = out.shape[0], 0
    while i < rows.shape[0]:
        row, start = rows[i], (top + i) * share
        y = start // height
        border = (y + 1) * height
        if start > y * height and start + 4 * share < border and i + 4 <= rows.shape[0]:
            _add_four(acc, row, rows[i + 1], rows[i + 2], rows[i + 3], np.float32(share))
            i += 4
            continue
        i += 1
        inside = min(start + share, border) - start
        if start == y * height:
            _begin(acc, row, np.float32(inside))
        else:
            _add(acc, row, np.float32(inside))
        if start + share < border:
            continue
        if channels == 3:
            _narrow_3(acc, spans, weights, out[y])
        else:
            _narrow_1(acc, spans, weights, out[y])
        if start + share > border:
            _begin(acc, row, np.float32(share - inside))


class AreaMean:
    """Makes one picture smaller, in strips of whole rows from the top down."""

    def __init__(self, height: int, width: int, channels: int, side: int) -> None:
        """`channels`: 1 or 3. `side`: most pixels of the longer side of the small picture."""
        self.height, self.width, self.channels = height, width, channels
        self.small = size_within(height, width, side)
        self._next_row = 0
        self._acc = np.empty(width * channels, np.float32)
        self._spans, self._weights = _columns(width, self.small[1], height)
        self._out: Levels | None = None

    def add(self, rows: Levels) -> None:
        """The next rows, uint8 or uint16 [n,W] or [n,W,3]. Raises ValueError for others, or too many."""
        wanted = (len(rows), self.width, 3)[: 2 if self.channels == 1 else 3]
        if rows.shape != wanted or self._next_row + len(rows) > self.height or rows.dtype.itemsize > 2:
            raise ValueError(f"expected uint8 or uint16 {wanted} within {self.height} rows; got {rows.shape}")
        if self._out is None:
            self._out = np.empty((self.small[0], self.small[1] * self.channels), rows.dtype)
        flat = np.ascontiguousarray(rows).reshape(len(rows), -1)
        given = (self._acc, self._spans, self._weights, self.channels)
        _add_rows(flat, self._next_row, self.height, *given, self._out)
        self._next_row += len(rows)

    def result(self) -> Levels:
        """The small picture [h,w] or [h,w,3], in the type of the rows. Raises ValueError before the last."""
        if self._out is None or self._next_row != self.height:
            raise ValueError(f"only {self._next_row} of {self.height} rows were given")
        return self._out.reshape(self.small if self.channels == 1 else (*self.small, 3))


def area_mean(levels: Levels, side: int) -> Levels:
    """A whole picture, uint8 or uint16 [H,W] or [H,W,3], with at most `side` pixels on its longer side.

    A small one comes as a copy, for the pixels of a decoder's process are good until its next picture.
    """
    height, width = levels.shape[:2]
    if max(height, width) <= side:
        return levels.copy()
    reducing = AreaMean(height, width, 1 if levels.ndim == 2 else 3, side)
    reducing.add(levels)
    return reducing.result()


def _columns(full: int, small: int, height: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """For each column of the small picture: the first and the last column that it covers; the shares of these
    two, and one over the weight of all that it covers. Of a first one that is also the last only one share is
    not 0."""
    at = np.arange(small, dtype=np.int64)
    start, end = at * full, (at + 1) * full  # in units of 1/small of a column
    first, last = start // small, -(-end // small) - 1
    before = np.minimum((first + 1) * small, end) - start
    after = np.where(last > first, end - last * small, 0)
    scale = np.full(small, small / (full * float(height)))
    return np.stack([first, last]), np.stack([before / small, after / small, scale]).astype(np.float32)
