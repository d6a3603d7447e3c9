"""Read masters that are too large for memory: libvips reads a local TIFF strip by strip, as lightness.

What can be streamed: pages of gray or RGB, 8 or 16 bits a channel, with or without alpha, in strips or
tiles, BigTIFF too. Every pass opens the file again and reads it from the top down. libvips undoes MinIsWhite;
which page, which channels, which way up and what the samples mean are decided as for a picture in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from pipeline.codecs.master_pages import (
    STRIP_PIXELS,
    Layout,
    MasterInfo,
    damage,
    examine,
    failure_of,
    fetched,
    open_page,
)
from pipeline.color.light import lightness, to_srgb8

__all__ = ["Master", "MasterInfo", "Reduced"]

U8 = NDArray[np.uint8]
U16 = NDArray[np.uint16]
Levels = NDArray[Any]  # uint8 or uint16

_SMALL_SIDE = 4096  # longest side of a reduced image, or twice what the network sees where that is more


@dataclass(frozen=True)
class Reduced:
    """The master averaged down by a whole number: `L_u16` uint16[h,w] and `rgb8` uint8[h,w,3] sRGB, which is
    None for gray; both with transparency on white."""

    L_u16: U16
    rgb8: NDArray[np.uint8] | None


class Master:
    """One master on a local file system; `infos` says what its pages are, `info` what the first one is.

    Raises ImageFailure, on opening and while it is read: UNSUPPORTED where it cannot be streamed, TOO_LARGE
    over `pixels`, TRUNCATED or CORRUPT.
    """

    def __init__(self, path: Path, *, pixels: int) -> None:
        self.path = path
        try:
            examined = examine(path, pixels)
        except Exception as error:
            raise failure_of(error) from error
        self.infos = tuple(info for info, _ in examined)
        self.info = self.infos[0]
        self._pages = tuple(_Page(path, *one) for one in examined)

    def reduced(self, side: int, page: int = 0) -> Reduced:
        """Read a page once and return a reduced image; `side` is that of the network."""
        return self._pages[page].reduced(side)

    def strips(self, page: int = 0) -> Iterator[tuple[U16, Levels | None]]:
        """One pass over a page, from the top: whole rows as `L_u16` uint16[n,W], and alpha[n,W] or None."""
        return ((l_u16, alpha) for l_u16, alpha, _ in self._pages[page].strips(colours=False))

    def coloured_strips(self, page: int = 0) -> Iterator[tuple[U16, Levels | None, U8 | None]]:
        """As `strips`, and with each the source's colours, uint8[n,W,3] sRGB, or None for gray."""
        return self._pages[page].strips(colours=True)


@dataclass(frozen=True)
class _Page:
    """One page of a master."""

    path: Path
    info: MasterInfo
    layout: Layout

    def reduced(self, side: int) -> Reduced:
        info = self.info
        factor = -(-max(info.width, info.height) // max(2 * side, _SMALL_SIDE))
        parts = [self._shrunk(rows, factor) for rows in self._rows(factor)]
        colours = [part.rgb8 for part in parts if part.rgb8 is not None]
        l_u16 = np.concatenate([part.L_u16 for part in parts])
        return Reduced(l_u16, np.concatenate(colours) if colours else None)

    def strips(self, colours: bool) -> Iterator[tuple[U16, Levels | None, U8 | None]]:
        for rows in self._rows(1):
            samples, light = self.layout.meaning.applied(self._colour(rows))
            alpha = np.ascontiguousarray(rows[..., -1]) if self.info.has_alpha else None
            rgb8 = to_srgb8(samples, light) if colours and samples.ndim == 3 else None
            yield lightness(samples, light), alpha, rgb8

    @property
    def _colours(self) -> tuple[int, ...]:
        return self.layout.bands[: -1 if self.info.has_alpha else None]

    def _colour(self, rows: Levels) -> Levels:
        count = len(self._colours)
        return np.ascontiguousarray(rows[..., 0] if count == 1 else rows[..., :count])

    def _rows(self, factor: int) -> Iterator[Levels]:
        """One pass: rows uint8 or uint16[n,W,channels], n a multiple of `factor` but at the end."""
        info = self.info
        count = max(1, STRIP_PIXELS // info.width // factor) * factor
        try:
            yield from fetched(open_page(self.path, self.layout), info, count)
        except pyvips.Error as error:
            raise damage(error) from None

    def _shrunk(self, rows: Levels, factor: int) -> Reduced:
        """Some rows, averaged, with transparency on white."""
        samples, light = self.layout.meaning.applied(self._colour(rows))
        means = _averaged(lightness(samples, light), factor)
        rgb = _averaged(to_srgb8(samples, light), factor) if samples.ndim == 3 else None
        if self.info.has_alpha:
            cover = _averaged(rows[..., -1], factor) / np.float32(2**self.info.depth - 1)
            means = _on_white(means, cover, 65535)
            rgb = None if rgb is None else _on_white(rgb, cover[..., None], 255)
        rgb8 = None if rgb is None else np.rint(rgb).astype(np.uint8)
        return Reduced(np.rint(means).astype(np.uint16), rgb8)


def _averaged(plane: Levels, factor: int) -> NDArray[np.float32]:
    """Means of `factor` x `factor` pixels; missing pixels at the edges repeat the last row or column."""
    if factor == 1:
        return plane.astype(np.float32)
    down, across = (-side % factor for side in plane.shape[:2])
    padded = np.pad(plane, ((0, down), (0, across), *[(0, 0)] * (plane.ndim - 2)), "edge")
    height, width = (side // factor for side in padded.shape[:2])
    # row by row and column by column: sums of levels are whole numbers, and those of 32 bits hold them
    sums = padded[0::factor].astype(np.uint32)
    for row in range(1, factor):
        sums += padded[row::factor]
    total = np.zeros((height, width, *plane.shape[2:]), np.float64)
    for column in range(factor):
        total += sums[:, column::factor]
    return np.asarray(total / factor**2, dtype=np.float32)


def _on_white(levels: NDArray[Any], cover: NDArray[Any], white: int) -> NDArray[Any]:
    return np.asarray(levels * cover + np.float32(white) * (1 - cover))
