"""Compute the lightness of a photograph: 8-bit pixels to 16-bit L*, and reduced to the network's input.

`L_u16` is uint16[H,W], L* times `spaces.L_U16_SCALE`, so that 65535 is L* 100. Compiled kernels run
on one thread, release the GIL, and use no fast-math: every CPU gives the same bits.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.color.compiled import compiled
from pipeline.color.light import L_OF_Y, SRGB, Light, lightness, lightness_of_y
from pipeline.color.spaces import L_U16_SCALE, RGB_TO_XYZ, linear_of_levels

U16 = NDArray[np.uint16]
U8 = NDArray[np.uint8]
F64 = NDArray[np.float64]
F32 = NDArray[np.float32]

SMALLEST_SIDE = 32  # below this the deepest layer of a network (1/8, then 3x3) sees only padding


_Y_OF_RGB: F64 = np.ascontiguousarray(RGB_TO_XYZ[1], dtype=np.float64)
_Y_WEIGHTED = np.ascontiguousarray(RGB_TO_XYZ[1][:, None] * linear_of_levels(8)[None, :])
_L_OF_GRAY8 = np.round(lightness_of_y(linear_of_levels(8))).astype(np.uint16)


@compiled
def _look_up(levels: Any, table: U16, l_u16: U16) -> None:
    """`table[levels]`, which in numpy makes an index of 64 bits of every level first."""
    for row in range(levels.shape[0]):
        for column in range(levels.shape[1]):
            l_u16[row, column] = table[levels[row, column]]


def _looked_up(levels: U8 | U16, table: U16) -> U16:
    l_u16 = np.empty(levels.shape, np.uint16)
    _look_up(np.ascontiguousarray(levels), table, l_u16)
    return l_u16


@compiled
def _srgb8_kernel(rgb8: U8, y_weighted: F64, l_of_y: F64, l_u16: U16) -> None:
    steps = l_of_y.size - 2
    for row in range(rgb8.shape[0]):
        for column in range(rgb8.shape[1]):
            y = (
                y_weighted[0, rgb8[row, column, 0]]
                + y_weighted[1, rgb8[row, column, 1]]
                + y_weighted[2, rgb8[row, column, 2]]
            ) * steps
            left = np.uint32(y)
            value = l_of_y[left] + (y - left) * (l_of_y[left + np.uint32(1)] - l_of_y[left])
            l_u16[row, column] = np.uint16(value + 0.5)


def luminance_u16_from_srgb8(rgb8: U8) -> U16:
    """Lightness of sRGB pixels, uint8[H,W,3] to `L_u16` (CIE L* for D65).

    Raises ValueError for another array.
    """
    if rgb8.dtype != np.uint8 or rgb8.ndim != 3 or rgb8.shape[2] != 3:
        raise ValueError(f"expected uint8[H,W,3]; got {rgb8.dtype} {rgb8.shape}")
    l_u16 = np.empty(rgb8.shape[:2], dtype=np.uint16)
    _srgb8_kernel(np.ascontiguousarray(rgb8), _Y_WEIGHTED, L_OF_Y, l_u16)
    return l_u16


def luminance_u16_from_gray8(gray8: U8) -> U16:
    """Lightness of gray pixels on the sRGB curve, uint8[H,W] to `L_u16`.

    Raises ValueError for another array.
    """
    if gray8.dtype != np.uint8 or gray8.ndim != 2:
        raise ValueError(f"expected uint8[H,W]; got {gray8.dtype} {gray8.shape}")
    return _looked_up(gray8, _L_OF_GRAY8)


@compiled
def _srgb16_kernel(rgb16: U16, linear: F64, weights: F64, l_of_y: F64, l_u16: U16) -> None:
    steps = l_of_y.size - 2
    for row in range(rgb16.shape[0]):
        for column in range(rgb16.shape[1]):
            y = (
                weights[0] * linear[rgb16[row, column, 0]]
                + weights[1] * linear[rgb16[row, column, 1]]
                + weights[2] * linear[rgb16[row, column, 2]]
            ) * steps
            left = np.uint32(y)
            value = l_of_y[left] + (y - left) * (l_of_y[left + np.uint32(1)] - l_of_y[left])
            l_u16[row, column] = np.uint16(value + 0.5)


@functools.cache
def _l_of_gray16() -> U16:
    return np.round(lightness_of_y(linear_of_levels(16))).astype(np.uint16)


def luminance_u16_from_srgb16(rgb16: U16) -> U16:
    """Lightness of sRGB pixels of 16 bits, uint16[H,W,3] to `L_u16` (CIE L* for D65).

    Raises ValueError for another array.
    """
    if rgb16.dtype != np.uint16 or rgb16.ndim != 3 or rgb16.shape[2] != 3:
        raise ValueError(f"expected uint16[H,W,3]; got {rgb16.dtype} {rgb16.shape}")
    l_u16 = np.empty(rgb16.shape[:2], dtype=np.uint16)
    _srgb16_kernel(np.ascontiguousarray(rgb16), linear_of_levels(16), _Y_OF_RGB, L_OF_Y, l_u16)
    return l_u16


def luminance_u16_from_gray16(gray16: U16) -> U16:
    """Lightness of gray pixels of 16 bits on the sRGB curve, uint16[H,W] to `L_u16`.

    Raises ValueError for another array.
    """
    if gray16.dtype != np.uint16 or gray16.ndim != 2:
        raise ValueError(f"expected uint16[H,W]; got {gray16.dtype} {gray16.shape}")
    return _looked_up(gray16, _l_of_gray16())


def luminance_u16(samples: NDArray[np.uint8] | NDArray[np.uint16], light: Light = SRGB) -> U16:
    """As `light.lightness`; of sRGB by the compiled kernels, with the same bits."""
    if not light.is_srgb:
        return lightness(samples, light)
    kernels = (
        (luminance_u16_from_gray8, luminance_u16_from_srgb8),
        (
            luminance_u16_from_gray16,
            luminance_u16_from_srgb16,
        ),
    )
    of_depth = kernels[samples.dtype == np.uint16]
    return of_depth[samples.ndim == 3](samples)  # type: ignore[arg-type]


def model_size(height: int, width: int, side: int, multiple: int = 8) -> tuple[int, int]:
    """The (height, width) at which a network sees a photograph.

    Multiples of `multiple`, the longer at most `side` and never above the photograph's own (but for
    the rounding), each at least 32: what is smaller is enlarged. The aspect ratio is kept to the
    rounding; only where it is beyond `side` : 32 must the shorter side be stretched.
    """
    largest = side // multiple * multiple
    smallest = -(-SMALLEST_SIDE // multiple) * multiple
    if height < 1 or width < 1 or multiple < 1 or largest < smallest:
        raise ValueError(f"no size for {height}x{width} with side {side} and multiple {multiple}")
    longer, shorter = max(height, width), min(height, width)
    scale = min(max(1.0, smallest / shorter), side / longer)

    def rounded(length: int) -> int:
        return min(max(round(length * scale / multiple) * multiple, smallest), largest)

    return rounded(height), rounded(width)


def downscale_luminance(l_u16: U16, side: int, multiple: int = 8) -> F32:
    """`L_u16` to the network's input: float32[h,w] of L* in [0, 100], (h, w) from `model_size`.

    The filter is as wide as the scale, so every source pixel counts: film grain and halftone screens
    do not alias. Raises ValueError for another array or a side too small.
    """
    if l_u16.dtype != np.uint16 or l_u16.ndim != 2:
        raise ValueError(f"expected uint16[H,W]; got {l_u16.dtype} {l_u16.shape}")
    height, width = model_size(l_u16.shape[0], l_u16.shape[1], side, multiple)
    resized = Image.fromarray(l_u16).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized).astype(np.float32) / np.float32(L_U16_SCALE)
