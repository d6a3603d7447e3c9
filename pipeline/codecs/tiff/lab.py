"""CIELAB pages of a TIFF (TIFF 6.0, section 23; ICCLAB and ITULAB, TIFF technical notes) as XYZ of 16 bits.

The L* of the file is the L* of the result: XYZ is relative to its white, whichever that was.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.codecs.sample_light import ColourSpaceStatement
from pipeline.color import spaces

U16 = NDArray[np.uint16]

_CIE, _ICC, _ITU = 8, 9, 10
#: Photometric interpretations: a and b with a sign, with an offset, and each over a range of its own.
KINDS = (_CIE, _ICC, _ITU)
# Of L*, a and b, the numbers of the least and the greatest sample, unless the tag Decode says others (RFC
# 3949, the default of Decode: a is (sample - 128) * 170 / 255, b is (sample - 96) * 200 / 255).
_ITU_RANGES = ((0.0, 100.0), (-21760 / 255, 21590 / 255), (-19200 / 255, 31800 / 255))
_ONE = 32768  # white, so that colours lighter than it have a place
_BLOCK = 2**20  # pixels at a time: they are float64 in between

#: What the samples of `to_xyz16` mean: the second row of the matrix gives their Y back as luminance.
MEANING = ColourSpaceStatement(
    "CIELAB", (lambda samples: samples * (65535 / _ONE),), spaces.XYZ_WHITE_1_TO_RGB, True
)


def to_xyz16(lab: NDArray[Any], kind: int, decode: Sequence[float] | None = None) -> U16:
    """uint8 or uint16[H,W,3] as the file has them, to uint16[H,W,3] of XYZ, 32768 for white.

    decode: of ITULAB, the least and the greatest L*, a and b, where the file states them.
    """
    out = np.empty(lab.shape, np.uint16)
    rows = max(1, _BLOCK // lab.shape[1])
    for top in range(0, lab.shape[0], rows):
        out[top : top + rows] = _xyz16(lab[top : top + rows], kind, decode)
    return out


def _xyz16(lab: NDArray[Any], kind: int, decode: Sequence[float] | None) -> U16:
    values = lab.astype(np.float64)
    if kind == _ITU:
        ranges = np.array(_ITU_RANGES if decode is None else decode, np.float64).reshape(3, 2)
        values = ranges[:, 0] + values / np.iinfo(lab.dtype).max * (ranges[:, 1] - ranges[:, 0])
        lightness, ab = values[..., 0], values[..., 1:]
    elif lab.dtype == np.uint8:
        lightness = values[..., 0] / 255 * 100
        ab = values[..., 1:] - 128 if kind == _ICC else lab[..., 1:].view(np.int8).astype(np.float64)
    else:
        # ICCLAB has the L* 100 of ICC profiles of version 2 at FF00h
        lightness = values[..., 0] / (65280 if kind == _ICC else 65535) * 100
        offset = values[..., 1:] - 32768
        ab = (offset if kind == _ICC else lab[..., 1:].view(np.int16).astype(np.float64)) / 256
    y = (np.clip(lightness, 0, 100) + 16) / 116
    f = np.stack([y + ab[..., 0] / 500, y, y - ab[..., 1] / 200], axis=-1)
    xyz = np.where(f > spaces.LAB_DELTA, f**3, spaces.LAB_SLOPE * (f - spaces.LAB_OFFSET))
    return np.asarray(np.rint(np.clip(xyz * _ONE, 0, 65535)), dtype=np.uint16)
