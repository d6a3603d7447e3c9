"""Lay predicted chroma over a photograph's own lightness: full resolution, 8-bit sRGB out.

One pass over the pixels in short runs of a row, compiled, on one thread, without the GIL. No fast-math
and no library calls inside: every CPU gives the same bits. The lightness that 8-bit rounding leaves
is measured on every pixel in the same pass.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline import color
from pipeline.kernels import LINEAR_STEPS, RUN, compose_pixels, measure_pixels
from pipeline.luminance import LINEAR_OF_8BIT

U8 = NDArray[np.uint8]
U16 = NDArray[np.uint16]
F32 = NDArray[np.float32]

_LINEAR_TO_8BIT = np.round(color.linear_to_srgb(np.arange(LINEAR_STEPS + 1) / LINEAR_STEPS) * 255).astype(
    np.uint8
)
_LINEAR_32 = LINEAR_OF_8BIT.astype(np.float32)

_AB_LIMIT = np.float32(1000)  # no sRGB colour is beyond 130; keeps the gamut search fine for any input


@dataclass(frozen=True, slots=True)
class ComposeSettings:
    """What may be set about the composition.

    chroma: factor on the predicted chroma, 0 (gray) to 10; 1 as predicted.
    """

    chroma: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.chroma <= 10:
            raise ValueError(f"chroma {self.chroma}: allowed is 0 to 10")


DEFAULT_SETTINGS = ComposeSettings()


@dataclass(frozen=True, slots=True)
class Measures:
    """max_delta_l: largest |dL*| against the source; mean_chroma: mean C*ab; colorfulness: as in `metrics`.

    Chroma and colourfulness leave out pixels that alpha makes invisible; the lightness leaves out none.
    """

    max_delta_l: float
    mean_chroma: float
    colorfulness: float


@dataclass(frozen=True, slots=True)
class Composed(Measures):
    """The colour photograph, `rgb8` uint8[H,W,3] sRGB, and what was measured on it."""

    rgb8: U8


def _taps(low: int, full: int) -> F32:
    """float32[3,full]: the two neighbours and the weight of the second, bilinear, pixel centres aligned
    at the corners of the image (align_corners=False), edges repeated."""
    position = np.clip((np.arange(full) + 0.5) * (low / full) - 0.5, 0, low - 1)
    first = np.floor(position)
    return np.stack([first, np.minimum(first + 1, low - 1), position - first]).astype(np.float32)


def _checked_alpha(l_u16: U16, alpha: U8 | None) -> U8:
    if l_u16.dtype != np.uint16 or l_u16.ndim != 2 or l_u16.size == 0:
        raise ValueError(f"lightness must be uint16[H,W]; got {l_u16.dtype} {l_u16.shape}")
    if alpha is None:
        return np.empty((0, 0), np.uint8)
    if alpha.dtype != np.uint8 or alpha.shape != l_u16.shape:
        raise ValueError(f"alpha must be uint8{l_u16.shape}; got {alpha.dtype} {alpha.shape}")
    return np.ascontiguousarray(alpha)


def _measures(lanes: NDArray[np.float64], sums: NDArray[np.int64]) -> Measures:
    count = max(int(sums[0]), 1)
    rg, yb = sums[1] / count, sums[2] / count / 2
    rg_var, yb_var = sums[3] / count - rg * rg, sums[4] / count / 4 - yb * yb
    spread = np.sqrt(max(rg_var + yb_var, 0.0))
    return Measures(
        max_delta_l=float(lanes[0].max()),
        mean_chroma=float(lanes[1].sum() / count),
        colorfulness=float(spread + 0.3 * np.hypot(rg, yb)),
    )


def measure(rgb8: U8, l_u16: U16, alpha: U8 | None = None) -> Measures:
    """Measure sRGB pixels uint8[H,W,3] against their source's `L_u16`: for what was changed after `compose`.

    Raises ValueError for other arrays.
    """
    mask = _checked_alpha(l_u16, alpha)
    if rgb8.dtype != np.uint8 or rgb8.shape != (*l_u16.shape, 3):
        raise ValueError(f"want uint8 {(*l_u16.shape, 3)}; got {rgb8.dtype} {rgb8.shape}")
    lanes, sums = np.zeros((2, RUN)), np.zeros(5, np.int64)
    measure_pixels(np.ascontiguousarray(rgb8), np.ascontiguousarray(l_u16), mask, _LINEAR_32, lanes, sums)
    return _measures(lanes, sums)


def compose(
    l_u16: U16, ab_2hw: F32, alpha: U8 | None = None, settings: ComposeSettings = DEFAULT_SETTINGS
) -> Composed:
    """Colour a photograph: `L_u16` uint16[H,W] with predicted `ab_2hw` float32[2,h,w] in Lab units, any h, w.

    Chroma is upsampled (bilinear), faded out near black and white, and reduced where sRGB cannot hold it;
    lightness is kept: |dL*| < 1 on every pixel, whatever the chroma. Where `alpha` uint8[H,W] is 0 the
    pixel stays gray. Raises ValueError for other arrays, and for chroma that is not finite: a network that
    failed must not pass for a gray photograph.
    """
    mask = _checked_alpha(l_u16, alpha)
    if ab_2hw.dtype != np.float32 or ab_2hw.ndim != 3 or ab_2hw.shape[0] != 2 or ab_2hw.size == 0:
        raise ValueError(f"chroma must be float32[2,h,w]; got {ab_2hw.dtype} {ab_2hw.shape}")
    if not np.isfinite(ab_2hw).all():
        raise ValueError("the predicted chroma holds values that are not finite")
    height, width = l_u16.shape
    dark, light = color.NEUTRAL_FADE_DARK_L, 100 - color.NEUTRAL_FADE_LIGHT_L
    tuning = np.array([settings.chroma / 500, settings.chroma / 200, 1 / dark, 1 / light], np.float32)
    rgb8 = np.empty((height, width, 3), np.uint8)
    lanes, sums = np.zeros((2, RUN)), np.zeros(5, np.int64)
    compose_pixels(
        np.ascontiguousarray(l_u16), mask, np.clip(ab_2hw, -_AB_LIMIT, _AB_LIMIT),
        _taps(ab_2hw.shape[1], height), _taps(ab_2hw.shape[2], width),
        tuning, _LINEAR_TO_8BIT, _LINEAR_32, rgb8, lanes, sums,
    )  # fmt: skip
    found = _measures(lanes, sums)
    return Composed(found.max_delta_l, found.mean_chroma, found.colorfulness, rgb8)
