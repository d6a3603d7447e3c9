"""Copy a scan's real colour over its composed pixels, with a soft edge, so that e.g. a colour target is kept.

Its chroma and, as everywhere, its lightness come from the source. Both pictures have the same luminance, so a
mixture of their light has it, too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.color import spaces
from pipeline.color.real_colour import RealColour
from pipeline.shard.compose.composer import F32, TO_LINEAR, U8, U16, Composer, ComposeSettings, Levels, taps

_AS_IT_IS = ComposeSettings(fades=False)
_BLOCK = 2**18  # pixels at a time: Lab is computed in float64


@dataclass(frozen=True)
class ColourKeeper:
    """Keeps the real colour of one photograph of `height` x `width` pixels."""

    real_colour: RealColour
    height: int
    width: int

    def lay(self, rgb: Levels, l_u16: U16, srgb8: U8, top: int, left: int = 0) -> None:
        """Change a rectangle of composed pixels, uint8 or uint16[h,w,3] sRGB, in place.

        Args:
            l_u16: uint16[h,w], its lightness.
            srgb8: uint8[h,w,3], the source's colours; their lightness is ignored.
            top, left: where in the photograph its first pixel is.
        """
        height, width = l_u16.shape
        rows = taps(self.real_colour.mask.shape[0], self.height)[:, top : top + height]
        columns = taps(self.real_colour.mask.shape[1], self.width)[:, left : left + width]
        first, second = rows[:2].astype(np.intp)
        mask = self.real_colour.mask.astype(np.float32) / np.float32(255)
        wide = mask[:, columns[0].astype(np.intp)]
        wide += columns[2] * (mask[:, columns[1].astype(np.intp)] - wide)
        step = max(1, _BLOCK // width)
        for start in range(0, height, step):
            part = slice(start, min(start + step, height))
            weights = wide[first[part]]
            weights += rows[2, part, None] * (wide[second[part]] - weights)
            if weights.any():
                _mix(rgb[part], l_u16[part], srgb8[part], weights[..., None])


def _mix(rgb: Levels, l_u16: U16, srgb8: U8, weights: F32) -> None:
    used = np.flatnonzero(weights.any(axis=(0, 2)))
    across = slice(int(used[0]), int(used[-1]) + 1)
    rgb, l_u16, srgb8, weights = rgb[:, across], l_u16[:, across], srgb8[:, across], weights[:, across]
    depth, most = 8 * rgb.itemsize, np.iinfo(rgb.dtype).max
    ab_2hw = np.moveaxis(spaces.srgb_to_lab(srgb8 / 255.0)[..., 1:], -1, 0).astype(np.float32)
    height, width = l_u16.shape
    own = Composer(ab_2hw, height, width, _AS_IT_IS, depth=depth).strip(np.ascontiguousarray(l_u16))
    light = TO_LINEAR[depth][rgb] * (1 - weights) + TO_LINEAR[depth][own] * weights
    mixed = np.rint(spaces.linear_to_srgb(light) * most).astype(rgb.dtype)
    rgb[...] = np.where(weights == 1, own, np.where(weights == 0, rgb, mixed))
