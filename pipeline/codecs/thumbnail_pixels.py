"""Make thumbnails from pixels in memory: of a source as read, of a result as composed.

In 8-bit sRGB; transparent parts become white, like paper.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from pipeline.codecs.upright import Pixels
from pipeline.color.area import AreaMean, area_mean
from pipeline.color.light import to_srgb8
from pipeline.color.spaces import L_U16_SCALE, lab_f_inverse, linear_to_srgb

U8 = NDArray[np.uint8]
Levels = NDArray[Any]  # uint8 or uint16

_ROWS = 256  # that are laid on white at a time


def small_source(pixels: Pixels, side: int) -> U8:
    """A source of at most `side` pixels on its longer side: uint8[h,w] where it is gray, else [h,w,3].

    A toned one stays toned.
    """
    return to_srgb8(_mean(pixels.array, pixels.alpha, side), pixels.light)


def small_result(rgb: Levels, alpha: Levels | None, icc: bytes | None, side: int) -> U8:
    """A result, uint8 or uint16[H,W,3] in the space of `icc` (None: sRGB), as uint8[h,w,3] of at most `side`
    pixels on its longer side."""
    return shown(_mean(rgb, alpha, side), icc)


def gray_of_lightness(small: NDArray[np.uint16]) -> U8:
    """Small pixels of lightness, `L_u16`, as gray sRGB."""
    linear = lab_f_inverse((small / L_U16_SCALE + 16) / 116)
    return np.rint(linear_to_srgb(linear) * 255).astype(np.uint8)


class SmallStrips(AreaMean):
    """A picture that is made smaller strip by strip, laid on white where it is transparent."""

    def put(self, rows: Levels, alpha: Levels | None) -> None:
        """The next rows, and their alpha. Raises ValueError as `add`."""
        self.add(rows if alpha is None else _on_white(rows, alpha))


def _mean(levels: Levels, alpha: Levels | None, side: int) -> Levels:
    if alpha is None:
        return area_mean(levels, side)
    height, width = levels.shape[:2]
    strips = SmallStrips(height, width, 1 if levels.ndim == 2 else 3, side)
    for top in range(0, height, _ROWS):
        rows = slice(top, top + _ROWS)
        strips.put(levels[rows], alpha[rows])
    return strips.result()


def _on_white(levels: Levels, alpha: Levels) -> Levels:
    cover = alpha.astype(np.float32) / np.iinfo(alpha.dtype).max
    cover = cover if levels.ndim == 2 else cover[..., None]
    white = np.iinfo(levels.dtype).max
    return np.asarray(np.rint(levels * cover + white * (1 - cover)).astype(levels.dtype))


def shown(small: Levels, icc: bytes | None) -> U8:
    """Small pixels, uint8 or uint16[h,w,3] in the space of `icc` (None: sRGB), as sRGB of 8 bits."""
    if small.dtype == np.uint16:
        small = ((small.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if icc is None:
        return small
    image, srgb = Image.fromarray(small), ImageCms.createProfile("sRGB")
    try:
        converted = ImageCms.profileToProfile(image, io.BytesIO(icc), srgb)
    except (ImageCms.PyCMSError, OSError):
        return small  # a profile that cannot be applied is no reason to hide the picture
    return small if converted is None else np.asarray(converted)
