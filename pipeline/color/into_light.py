"""Convert sRGB into samples of another colour space, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.color import spaces
from pipeline.color.compiled import compiled
from pipeline.color.light import Light, curves_of

F64 = NDArray[np.float64]
Levels = NDArray[Any]  # uint8 or uint16


@compiled
def _from_srgb_kernel(rgb: Any, linear: F64, matrix: F64, thresholds: F64, out: Any) -> None:
    last = thresholds.shape[1]
    for row in range(rgb.shape[0]):
        for column in range(rgb.shape[1]):
            r = linear[rgb[row, column, 0]]
            g = linear[rgb[row, column, 1]]
            b = linear[rgb[row, column, 2]]
            for channel in range(3):
                light = matrix[channel, 0] * r + matrix[channel, 1] * g + matrix[channel, 2] * b
                low, high = 0, last
                while low < high:
                    middle = (low + high) >> 1
                    if thresholds[channel, middle] < light:
                        low = middle + 1
                    else:
                        high = middle
                out[row, column, channel] = low


def from_srgb(rgb: Levels, light: Light) -> Levels | None:
    """sRGB uint8 or uint16[H,W,3] as samples of that light and depth; None where its primaries are none.

    Each sample is the level nearest in lightness; what the primaries cannot hold is clipped.
    """
    levels = 256 if rgb.dtype == np.uint8 else 65536
    curves = np.maximum.accumulate(curves_of(light, levels), axis=1)
    root = np.cbrt(np.maximum(curves, 0))
    thresholds = np.ascontiguousarray(((root[:, 1:] + root[:, :-1]) / 2) ** 3)
    try:
        matrix = np.eye(3) if light.matrix is None else np.linalg.inv(light.matrix)
    except np.linalg.LinAlgError:
        return None
    if not np.isfinite(matrix).all():
        return None
    linear = np.asarray(spaces.srgb_to_linear(np.arange(levels) / (levels - 1)), dtype=np.float64)
    out = np.empty(rgb.shape, rgb.dtype)
    _from_srgb_kernel(np.ascontiguousarray(rgb), linear, np.ascontiguousarray(matrix), thresholds, out)
    return out
