"""Upsample chroma that was predicted at a reduced size, aligning its edges with those of the lightness.

Joint bilateral upsampling: Kopf, Cohen, Lischinski, Uyttendaele, ACM Transactions on Graphics 26(3), SIGGRAPH
2007.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.color.compiled import compiled

F32 = NDArray[np.float32]

TAPS = 4  # samples of the reduced chroma along each axis
SPATIAL_SIGMA = 0.8  # of the Gaussian over the distance, in those samples: nearly as sharp as bilinear
RANGE_SIGMA = 6.0  # of the Gaussian over the difference in lightness, L*
# Where no sample is of the pixel's lightness the weights fall back to those of the distance alone.
RANGE_FLOOR = 1e-4

_STEPS_PER_L = 10  # of the table of range weights
_STEPS = np.float32(_STEPS_PER_L)


def guided_upsample(ab_2hw: F32, L_hw: F32, L_HW: F32) -> F32:
    """Chroma float32[2,h,w] in Lab units at the size of the photograph, float32[2,H,W].

    Each pixel takes the mean of the 16 samples around it, weighted by nearness and by likeness of lightness:
    a mean, so no colour is stronger than those it came from. `L_hw` and `L_HW` are L* in [0, 100] at
    both sizes. 0.06 s a megapixel on one core, in memory the result and little more.

    Raises ValueError for other arrays and values that are not finite.
    """
    for name, array, leading in (("L", L_HW, ()), ("reduced L", L_hw, ()), ("chroma", ab_2hw, (2,))):
        _check(name, array, leading)
    if ab_2hw.shape[1:] != L_hw.shape:
        raise ValueError(f"chroma {list(ab_2hw.shape)} and reduced L {list(L_hw.shape)} differ in size")
    near_y, first_y = _taps(L_hw.shape[0], L_HW.shape[0])
    near_x, first_x = _taps(L_hw.shape[1], L_HW.shape[1])
    differences = np.arange(100 * _STEPS_PER_L + 1) / _STEPS_PER_L
    alike = np.exp(-(differences**2) / (2 * RANGE_SIGMA**2)) + RANGE_FLOOR
    ab_2HW = np.empty((2, *L_HW.shape), np.float32)
    _upsample(
        np.ascontiguousarray(ab_2hw), np.ascontiguousarray(L_hw), np.ascontiguousarray(L_HW),
        near_y, first_y, near_x, first_x, alike.astype(np.float32), ab_2HW,
    )  # fmt: skip
    return ab_2HW


def _check(name: str, array: F32, leading: tuple[int, ...]) -> None:
    """A picture with these leading axes."""
    if array.dtype != np.float32 or array.shape[:-2] != leading or array.ndim < 2 or array.size == 0:
        want = f"[{', '.join([*map(str, leading), 'h', 'w'])}]"
        raise ValueError(f"{name} must be float32{want}; got {array.dtype} {list(array.shape)}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds values that are not finite")


def _taps(count: int, length: int) -> tuple[F32, NDArray[np.int64]]:
    """For each of `length` pixels weights float32[length,TAPS] of its samples by distance, and the first."""
    position = (np.arange(length) + 0.5) * count / length - 0.5
    first = np.floor(position).astype(np.int64) - (TAPS // 2 - 1)
    distance = position[:, None] - (first[:, None] + np.arange(TAPS))
    return np.exp(-(distance**2) / (2 * SPATIAL_SIGMA**2)).astype(np.float32), first


@compiled
def _upsample(
    ab_2hw: Any, L_hw: Any, L_HW: Any, near_y: Any, first_y: Any, near_x: Any, first_x: Any,
    alike: Any, ab_2HW: Any,
) -> Any:  # fmt: skip
    """Samples beyond the edge are those of the edge. Lightness outside [0, 100] counts as its limits."""
    height, width = L_hw.shape
    most = alike.size - 1
    for y in range(L_HW.shape[0]):
        for x in range(L_HW.shape[1]):
            here, total, a, b = L_HW[y, x], np.float32(0), np.float32(0), np.float32(0)
            for j in range(near_y.shape[1]):
                row = min(max(first_y[y] + j, 0), height - 1)
                for i in range(near_x.shape[1]):
                    column = min(max(first_x[x] + i, 0), width - 1)
                    step = min(np.int64(abs(here - L_hw[row, column]) * _STEPS), most)
                    weight = near_y[y, j] * near_x[x, i] * alike[step]
                    total += weight
                    a += weight * ab_2hw[0, row, column]
                    b += weight * ab_2hw[1, row, column]
            ab_2HW[0, y, x] = a / total
            ab_2HW[1, y, x] = b / total
