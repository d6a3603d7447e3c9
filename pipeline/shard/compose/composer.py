"""Combine predicted chroma with a photograph's own lightness, at full resolution, to sRGB of 8 or 16 bits.

One pass over the pixels in short runs of a row, compiled, on one thread, without the GIL. No fast-math
and no library calls inside: every CPU gives the same bits. The same pass measures the lightness of every
rounded pixel. A photograph that memory cannot hold is composed strip by strip.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.color import spaces
from pipeline.color.kernels import LINEAR_STEPS, RUN, compose_pixels, measure_pixels

U8 = NDArray[np.uint8]
U16 = NDArray[np.uint16]
F32 = NDArray[np.float32]
Levels = NDArray[Any]  # uint8 or uint16, by the depth asked for

_CURVE = spaces.linear_to_srgb(np.arange(LINEAR_STEPS + 1) / LINEAR_STEPS)
# By bits of a level: from linear light to levels, and back. The last entry of 16 bits is doubled, so that
# full light has a right-hand neighbour.
TO_LEVELS: dict[int, U8 | F32] = {
    8: np.round(_CURVE * 255).astype(np.uint8),
    16: np.append(_CURVE, 1.0).astype(np.float32) * np.float32(65535),
}
TO_LINEAR: dict[int, F32] = {
    8: spaces.linear_of_levels(8).astype(np.float32),
    16: spaces.linear_of_levels(16).astype(np.float32),
}
_DTYPES: dict[int, type[np.uint8] | type[np.uint16]] = {8: np.uint8, 16: np.uint16}
_8BIT_LEVELS = {8: 1, 16: 257}  # steps of this depth in one of 8 bits, in which colourfulness is defined

_NO_FADE = 1e-6  # L*, less than a step of lightness
_AB_LIMIT = np.float32(1000)  # no sRGB colour is beyond 130; keeps the gamut search fine for any input


@dataclass(frozen=True, slots=True)
class ComposeSettings:
    """Settings of the composition.

    chroma: factor on the predicted chroma, 0 (gray) to 10; 1 as predicted.
    fades: whether chroma fades out near black and near white.
    """

    chroma: float = 1.0
    fades: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.chroma <= 10:
            raise ValueError(f"chroma {self.chroma} must be 0 to 10")


DEFAULT_SETTINGS = ComposeSettings()


class Compose(Protocol):
    """`compose`, or its implementation on another device."""

    def __call__(
        self, l_u16: U16, ab_2hw: F32, alpha: U8 | U16 | None, settings: ComposeSettings, *, depth: int
    ) -> Composed: ...


@dataclass(frozen=True, slots=True)
class Measures:
    """max_delta_l: largest |dL*| against the source; mean_chroma: mean C*ab, by `compose` that
    of the colours before they are rounded to levels; colorfulness: as in `metrics`.

    Chroma and colourfulness leave out pixels that alpha makes invisible; the lightness leaves out none.
    """

    max_delta_l: float
    mean_chroma: float
    colorfulness: float


@dataclass(frozen=True, slots=True)
class Composed(Measures):
    """The colour photograph, `rgb` uint8 or uint16[H,W,3] sRGB, and what was measured on it."""

    rgb: Levels


def taps(low: int, full: int) -> F32:
    """float32[3,full]: the two neighbours and the weight of the second, bilinear, pixel centres aligned
    at the corners of the image (align_corners=False), edges repeated."""
    position = np.clip((np.arange(full) + 0.5) * (low / full) - 0.5, 0, low - 1)
    first = np.floor(position)
    return np.stack([first, np.minimum(first + 1, low - 1), position - first]).astype(np.float32)


def _checked_alpha(l_u16: U16, alpha: U8 | U16 | None) -> U8:
    if l_u16.dtype != np.uint16 or l_u16.ndim != 2 or l_u16.size == 0:
        raise ValueError(f"lightness must be uint16[H,W]; got {l_u16.dtype} {l_u16.shape}")
    if alpha is None:
        return np.empty((0, 0), np.uint8)
    if alpha.dtype not in (np.uint8, np.uint16) or alpha.shape != l_u16.shape:
        raise ValueError(f"alpha must be uint8 or uint16{l_u16.shape}; got {alpha.dtype} {alpha.shape}")
    return np.ascontiguousarray(alpha if alpha.dtype == np.uint8 else alpha > 0).view(np.uint8)


class Tally:
    """What the kernels add up over any number of strips, each of at most 2**28 pixels: in 16 bits more could
    overflow the sums of squares."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.lanes = np.zeros((2, RUN))
        self.strip = np.zeros(5, np.int64)
        self._sums = [0] * 5

    def close_strip(self) -> None:
        self._sums = [before + int(more) for before, more in zip(self._sums, self.strip, strict=True)]
        self.strip[:] = 0

    def measures(self) -> Measures:
        unit = _8BIT_LEVELS[self.depth]
        count = max(self._sums[0], 1)
        rg, yb = self._sums[1] / count / unit, self._sums[2] / count / 2 / unit
        rg_var = self._sums[3] / count / unit**2 - rg * rg
        yb_var = self._sums[4] / count / 4 / unit**2 - yb * yb
        spread = np.sqrt(max(rg_var + yb_var, 0.0))
        return Measures(
            max_delta_l=float(self.lanes[0].max()),
            mean_chroma=float(self.lanes[1].sum() / count),
            colorfulness=float(spread + 0.3 * np.hypot(rg, yb)),
        )


LARGEST_STRIP = 2**28


def _row_blocks(shape: tuple[int, ...], pixels: int) -> Iterator[slice]:
    height, width = shape
    rows = max(1, pixels // width)
    return (slice(top, min(top + rows, height)) for top in range(0, height, rows))


class Measurer:
    """Measures sRGB pixels of 8 or 16 bits strip by strip, after changes that follow `compose`."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self._tally = Tally(depth)

    def add(self, rgb: Levels, l_u16: U16, alpha: U8 | U16 | None = None) -> None:
        """Rows of pixels, uint8 or uint16[n,W,3], against their source's `L_u16`. Raises ValueError for other
        arrays."""
        mask = _checked_alpha(l_u16, alpha)
        if rgb.dtype != _DTYPES[self.depth] or rgb.shape != (*l_u16.shape, 3):
            raise ValueError(f"expected uint8 or uint16 {(*l_u16.shape, 3)}; got {rgb.dtype} {rgb.shape}")
        pixels, lightness, tally = np.ascontiguousarray(rgb), np.ascontiguousarray(l_u16), self._tally
        for rows in _row_blocks(l_u16.shape, LARGEST_STRIP):
            at_rows = (pixels[rows], lightness[rows], mask[rows])
            measure_pixels(*at_rows, TO_LINEAR[self.depth], tally.lanes, tally.strip)
            tally.close_strip()

    def measures(self) -> Measures:
        """What was measured so far."""
        return self._tally.measures()


def measure(rgb: Levels, l_u16: U16, alpha: U8 | U16 | None = None) -> Measures:
    """As `Measurer`, of a whole picture."""
    depth = {np.dtype(dtype): bits for bits, dtype in _DTYPES.items()}.get(rgb.dtype)
    if depth is None:
        raise ValueError(f"expected uint8 or uint16 {(*l_u16.shape, 3)}; got {rgb.dtype} {rgb.shape}")
    measurer = Measurer(depth)
    measurer.add(rgb, l_u16, alpha)
    return measurer.measures()


class Composer:
    """Composes one photograph of `height` x `width` in strips of whole rows, from the top down.

    The strips together are, bit for bit, what `compose` gives for the whole. Arguments and errors as there.
    `block`: most pixels that are worked on at a time.
    """

    block = LARGEST_STRIP

    def __init__(
        self,
        ab_2hw: F32,
        height: int,
        width: int,
        settings: ComposeSettings = DEFAULT_SETTINGS,
        *,
        depth: int = 8,
    ) -> None:
        if ab_2hw.dtype != np.float32 or ab_2hw.ndim != 3 or ab_2hw.shape[0] != 2 or ab_2hw.size == 0:
            raise ValueError(f"chroma must be float32[2,h,w]; got {ab_2hw.dtype} {ab_2hw.shape}")
        if not np.isfinite(ab_2hw).all():
            raise ValueError("the predicted chroma holds values that are not finite")
        if depth not in _DTYPES:
            raise ValueError(f"depth {depth} must be 8 or 16")
        dark, light = spaces.NEUTRAL_FADE_DARK_L, 100 - spaces.NEUTRAL_FADE_LIGHT_L
        if not settings.fades:
            dark = light = _NO_FADE
        self.depth, self.height, self.width = depth, height, width
        self._next_row = 0
        self.ab_2hw = np.ascontiguousarray(np.clip(ab_2hw, -_AB_LIMIT, _AB_LIMIT))
        self._rows, self.columns = taps(ab_2hw.shape[1], height), taps(ab_2hw.shape[2], width)
        self.tuning = np.array(
            [settings.chroma / 500, settings.chroma / 200, 1 / dark, 1 / light], np.float32
        )
        self.tally = Tally(depth)

    def strip(self, l_u16: U16, alpha: U8 | U16 | None = None) -> Levels:
        """The colour pixels uint8 or uint16[rows,W,3] of the next rows of the photograph."""
        mask = _checked_alpha(l_u16, alpha)
        top, bottom = self._next_row, self._next_row + l_u16.shape[0]
        if bottom > self.height or l_u16.shape[1] != self.width:
            raise ValueError(
                f"rows {top} to {bottom} of {l_u16.shape[1]} are not of {self.height} x {self.width}"
            )
        rgb = np.empty((*l_u16.shape, 3), _DTYPES[self.depth])
        lightness, taps = np.ascontiguousarray(l_u16), self._rows[:, top:bottom]
        for rows in _row_blocks(l_u16.shape, self.block):
            self.fill(lightness[rows], mask[rows], np.ascontiguousarray(taps[:, rows]), rgb[rows])
            self.tally.close_strip()
        self._next_row = bottom
        return rgb

    def fill(self, l_u16: U16, alpha: U8, rows: F32, rgb: Levels) -> None:
        """Colour the pixels `rgb` of some rows, whose chroma lies between the `rows` (see `compose_pixels`),
        and add what is measured on them to the tally."""
        compose_pixels(
            l_u16, alpha, self.ab_2hw, rows, self.columns, self.tuning,
            TO_LEVELS[self.depth], TO_LINEAR[self.depth], rgb, self.tally.lanes, self.tally.strip,
        )  # fmt: skip

    def measures(self) -> Measures:
        """What was measured on the strips so far; of the whole photograph once all its rows were given."""
        return self.tally.measures()


def compose(
    l_u16: U16,
    ab_2hw: F32,
    alpha: U8 | U16 | None = None,
    settings: ComposeSettings = DEFAULT_SETTINGS,
    *,
    depth: int = 8,
) -> Composed:
    """Colour a photograph: `L_u16` uint16[H,W] with predicted `ab_2hw` float32[2,h,w] in Lab units, any h, w.

    Chroma is upsampled (bilinear), faded out near black and white, and reduced where sRGB cannot hold it;
    lightness is kept: |dL*| < 1 with a `depth` of 8 bits, < 0.1 with one of 16, on every pixel, whatever the
    chroma. Where `alpha` uint8 or uint16[H,W] is 0 the pixel stays gray. Raises ValueError for other arrays,
    and for chroma that is not finite: a network that failed must not pass for a gray photograph.
    """
    _checked_alpha(l_u16, alpha)
    height, width = l_u16.shape
    return composed_by(Composer(ab_2hw, height, width, settings, depth=depth), l_u16, alpha)


def composed_by(composer: Composer, l_u16: U16, alpha: U8 | U16 | None) -> Composed:
    """Compose a whole photograph with a fresh composer."""
    rgb = composer.strip(l_u16, alpha)
    measured = composer.measures()
    return Composed(measured.max_delta_l, measured.mean_chroma, measured.colorfulness, rgb)
