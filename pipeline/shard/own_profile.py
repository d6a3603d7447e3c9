"""Whether a result keeps its source's RGB profile: one rule for pixels in memory and in strips.

It does if the profile can be written and the lightness of every pixel read back from it is within the
promised limit; otherwise the result is sRGB. Adobe RGB and ProPhoto are kept, a linear profile of 8 bits is
not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.codecs import in_memory
from pipeline.codecs.metadata.profiles import examine
from pipeline.color.spaces import L_U16_SCALE

Levels = NDArray[Any]  # uint8 or uint16

#: The design's promise by bits of the output: lightness moves by less than this, on every pixel.
MAX_DELTA_L = {8: 1.0, 16: 0.1}


@dataclass(frozen=True)
class InProfile:
    """Pixels under a profile: `pixels` of the depth that was given, `srgb8` and max_delta_l as read back."""

    pixels: Levels
    srgb8: NDArray[np.uint8]
    max_delta_l: float

    @property
    def holds(self) -> bool:
        """Whether the profile may be kept."""
        return self.max_delta_l < MAX_DELTA_L[8 * self.pixels.itemsize]


def in_profile(rgb: Levels, l_u16: NDArray[np.uint16], icc: bytes | None) -> InProfile | None:
    """Convert sRGB pixels uint8 or uint16[H,W,3] of that lightness to the profile; None if the result must be
    sRGB whatever the pixels are."""
    pixels = in_memory.to_profile(rgb, icc)
    if pixels is None or icc is None:
        return None
    back, srgb8 = in_memory.read_back(pixels, icc)
    apart = np.abs(back.astype(np.int32) - l_u16).max()
    return InProfile(pixels, srgb8, float(apart / L_U16_SCALE))


def can_keep(icc: bytes | None, depth: int) -> bool:
    """Whether pixels of that depth can use the profile at all."""
    black = np.zeros((1, 1, 3), np.uint8 if depth == 8 else np.uint16)
    return in_memory.to_profile(black, icc) is not None


def note_of(icc: bytes | None, depth: int) -> str | None:
    """For the ledger, of a result that is written as sRGB: why, where its source has another profile."""
    if icc is None:
        return None
    if not examine(icc).writable:
        return "written as sRGB, not in the source's profile"
    if not can_keep(icc, depth):
        return None
    return f"written as sRGB: its profile cannot hold the lightness in {depth} bit"
