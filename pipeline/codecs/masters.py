"""Masters too large for memory: a local TIFF read by libvips strip by strip, as lightness.

What can be streamed: one page of gray or RGB, 8 or 16 bits a channel, with or without alpha, in strips or
tiles, BigTIFF too. Every pass opens the file again and reads it from the top down. libvips undoes MinIsWhite;
which page, which channels, which way up and what the samples mean are decided as for a picture in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from pipeline.codecs import sniff
from pipeline.codecs.light import Meaning, meaning
from pipeline.codecs.metadata import exif
from pipeline.codecs.metadata.block import SourceMeta, read_metadata
from pipeline.codecs.tiff.directories import EXTRA_SAMPLES, channels, photographs, read_directories
from pipeline.codecs.tiff.source import CHANNELS, TiffSource
from pipeline.codecs.upright import HIDDEN, with_source
from pipeline.color.light import lightness, to_srgb8
from pipeline.errors import FailureCode, ImageFailure

U16 = NDArray[np.uint16]
Levels = NDArray[Any]  # uint8 or uint16

_STRIP_PIXELS = 2**21  # 4 MiB of lightness, 12 MiB of the 16-bit colour that is made of it
_SMALL_SIDE = 4096  # longest side of a reduced image, or twice what the network sees where that is more
_DEPTHS = {"uchar": 8, "ushort": 16}
_GRAY, _COLOUR = ("b-w", "grey16"), ("srgb", "rgb", "rgb16")
_MODES = {(1, 8): "L", (2, 8): "LA", (3, 8): "RGB", (4, 8): "RGBA"}
_MODES |= {(1, 16): "I;16", (2, 16): "LA;16", (3, 16): "RGB;16", (4, 16): "RGBA;16"}
_PALETTE, _STREAMED = 3, (0, 1, 2, 3, 6)  # photometric interpretations
_ASSOCIATED = 1
_CUT_SHORT = ("read error", "truncat", "end of file", "not enough data", "seek error", "past end")


@dataclass(frozen=True)
class MasterInfo:
    """What is known before pixels are read: size upright, bits of a channel, Pillow-like mode, metadata."""

    width: int
    height: int
    depth: int
    mode: str
    has_alpha: bool
    meta: SourceMeta
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reduced:
    """The master averaged down by a whole number: `L_u16` uint16[h,w] and `rgb8` uint8[h,w,3] sRGB, which is
    None for gray; both with transparency on white."""

    L_u16: U16
    rgb8: NDArray[np.uint8] | None


@dataclass(frozen=True)
class _Layout:
    """How the master is read: page, channels (colours, then alpha), which way up, what the samples mean."""

    page: int
    bands: tuple[int, ...]
    turn: int
    found: Meaning


class Master:
    """One master on a local file system.

    Raises ImageFailure, on opening and while it is read: UNSUPPORTED where it cannot be streamed, TOO_LARGE
    over `pixels`, TRUNCATED or CORRUPT.
    """

    def __init__(self, path: Path, *, pixels: int) -> None:
        self.path = path
        try:
            self.info, self._layout = _examine(path, pixels)
        except ImageFailure:
            raise
        except Exception as error:  # whatever a hostile file makes a parser raise, the image has failed
            raise _damage(error) from error

    def reduced(self, side: int) -> Reduced:
        """One pass over the file for an image of moderate size; `side` is that of the network."""
        info = self.info
        factor = -(-max(info.width, info.height) // max(2 * side, _SMALL_SIDE))
        parts = [self._shrunk(rows, factor) for rows in self._rows(factor)]
        colours = [part.rgb8 for part in parts if part.rgb8 is not None]
        l_u16 = np.concatenate([part.L_u16 for part in parts])
        return Reduced(l_u16, np.concatenate(colours) if colours else None)

    def strips(self) -> Iterator[tuple[U16, Levels | None]]:
        """One pass, from the top down: whole rows as `L_u16` uint16[n,W], and alpha[n,W] or None."""
        for rows in self._rows(1):
            samples, light = self._layout.found.applied(self._colour(rows))
            alpha = np.ascontiguousarray(rows[..., -1]) if self.info.has_alpha else None
            yield lightness(samples, light), alpha

    @property
    def _colours(self) -> tuple[int, ...]:
        return self._layout.bands[: -1 if self.info.has_alpha else None]

    def _colour(self, rows: Levels) -> Levels:
        count = len(self._colours)
        return np.ascontiguousarray(rows[..., 0] if count == 1 else rows[..., :count])

    def _rows(self, factor: int) -> Iterator[Levels]:
        """One pass: rows uint8 or uint16[n,W,channels], n a multiple of `factor` but at the end."""
        info = self.info
        count = max(1, _STRIP_PIXELS // info.width // factor) * factor
        try:
            yield from _fetched(_open(self.path, self._layout), info, count)
        except pyvips.Error as error:
            raise _damage(error) from None

    def _shrunk(self, rows: Levels, factor: int) -> Reduced:
        """Some rows, averaged, with transparency on white."""
        samples, light = self._layout.found.applied(self._colour(rows))
        means = _averaged(lightness(samples, light), factor)
        rgb = _averaged(to_srgb8(samples, light), factor) if samples.ndim == 3 else None
        if self.info.has_alpha:
            cover = _averaged(rows[..., -1], factor) / np.float32(2**self.info.depth - 1)
            means = _on_white(means, cover, 65535)
            rgb = None if rgb is None else _on_white(rgb, cover[..., None], 255)
        rgb8 = None if rgb is None else np.rint(rgb).astype(np.uint8)
        return Reduced(np.rint(means).astype(np.uint16), rgb8)


def _averaged(plane: Levels, factor: int) -> NDArray[np.float32]:
    """Means of `factor` x `factor` pixels; what is missing at the edges is as the last row or column."""
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


def _open(path: Path, layout: _Layout) -> pyvips.Image:
    """The page, upright, with the channels that are wanted."""
    # a turned image is not read from the top down: libvips unpacks it on disk
    access = "random" if layout.turn > 1 else "sequential"
    image = pyvips.Image.new_from_file(str(path), access=access, fail_on="error", page=layout.page)
    if layout.turn > 1:
        image = image.copy()
        image.set_type(pyvips.GValue.gint_type, "orientation", layout.turn)
        image = image.autorot()
    if layout.bands == tuple(range(image.bands)):
        return image
    first, *others = (image[band] for band in layout.bands)
    return first.bandjoin(others) if others else first


def _fetched(image: pyvips.Image, info: MasterInfo, count: int) -> Iterator[Levels]:
    """The image in rows of [count,W,channels]."""
    region = pyvips.Region.new(image)
    for top in range(0, info.height, count):
        rows = min(count, info.height - top)
        data = region.fetch(0, top, info.width, rows)
        yield np.frombuffer(data, _dtype(info.depth)).reshape(rows, info.width, image.bands)


def _on_white(levels: NDArray[Any], cover: NDArray[Any], white: int) -> NDArray[Any]:
    return np.asarray(levels * cover + np.float32(white) * (1 - cover))


def _dtype(depth: int) -> type[np.uint8] | type[np.uint16]:
    return np.uint8 if depth == 8 else np.uint16


def _examine(path: Path, pixels: int) -> tuple[MasterInfo, _Layout]:
    with path.open("rb") as file:
        if sniff.readable_format(file.read(16)) != "TIFF":
            raise _unsupported("a large file that is no TIFF by its content")
        pages = photographs(read_directories(file))
        if len(pages.photographs) > 1:
            raise _unsupported(f"a large TIFF of {len(pages.photographs)} pages")
        file.seek(0)
        source = TiffSource(file)
        index = pages.photographs[0].index
        if index:
            source.seek(index)
        if source.photometric not in _STREAMED or source.has_gray_planes or source.is_jpeg_with_more:
            raise _unsupported(f"a large TIFF of photometric interpretation {source.photometric}")
        image = pyvips.Image.new_from_file(str(path), access="sequential", fail_on="error", page=index)
        bands, notes = _bands(source, image, pixels)
        depth, turn = _DEPTHS[image.format], exif.orientation(source).value
        found = meaning(len(bands.colours) == 1, depth, source.statements())
        width, height = (image.height, image.width) if turn >= 5 else (image.width, image.height)
        meta = with_source(read_metadata(source, "TIFF", (width, height), found.icc), found)
        meta = replace(meta, changes=(*meta.changes, *pages.left_out))
    chosen = bands.colours + (() if bands.alpha is None else (bands.alpha,))
    mode = "P" if source.photometric == _PALETTE else _MODES[len(chosen), depth]
    info = MasterInfo(width, height, depth, mode, bands.alpha is not None, meta)
    layout = _Layout(index, chosen, turn, found)
    if bands.alpha is not None:
        lowest, highest = _alpha_range(path, layout, info)
        if highest == 0 and bands.is_associated:
            raise _unsupported("a large TIFF whose premultiplied alpha hides everything")
        if highest == 0 or lowest == 2**depth - 1:
            notes += [HIDDEN] if highest == 0 else []
            mode = _MODES[len(bands.colours), depth]
            info = replace(info, has_alpha=False, mode=mode)
            layout = replace(layout, bands=chosen[:-1])
    return replace(info, notes=(*notes, *found.notes)), layout


@dataclass(frozen=True)
class _Bands:
    colours: tuple[int, ...]
    alpha: int | None
    is_associated: bool


def _bands(source: TiffSource, image: pyvips.Image, pixels: int) -> tuple[_Bands, list[str]]:
    """Which of the channels are colours and alpha, and notes. Raises TOO_LARGE and UNSUPPORTED."""
    if image.width * image.height > pixels:
        size = f"{image.width} x {image.height} is {image.width * image.height:,} pixels"
        raise ImageFailure(FailureCode.TOO_LARGE, f"{size}; the limit is {pixels:,}, raise limits.pixels")
    if image.format not in _DEPTHS or image.get("vips-loader") != "tiffload":
        raise _unsupported(f"a large {image.get('vips-loader')[:-4]} of {image.format} samples")
    photometric = source.photometric
    colours = image.bands if photometric == _PALETTE else CHANNELS.get(photometric, 0)
    fits = (colours, image.interpretation in _GRAY) == (1, True) or (
        colours == 3 and image.interpretation in _COLOUR
    )
    if photometric == _PALETTE and colours == 1 and fits:  # of grays alone, which libvips gives as one
        return _Bands((0, 0, 0), None, False), []
    if image.bands < colours or not fits:
        raise _unsupported(f"a large TIFF of {image.bands} channels ({image.interpretation})")
    tagged = EXTRA_SAMPLES in source.tag_v2
    extra = tuple(source.tag_v2[EXTRA_SAMPLES]) if tagged else None
    rule = channels(colours, image.bands, extra)
    associated = rule.alpha is not None and extra is not None and extra[rule.alpha - colours] == _ASSOCIATED
    return _Bands(tuple(range(colours)), rule.alpha, associated), [rule.note] if rule.note else []


def _alpha_range(path: Path, layout: _Layout, info: MasterInfo) -> tuple[int, int]:
    """The least and the most of its alpha: a pass of its own, unless both are soon seen to vary."""
    lowest, highest = 2**info.depth - 1, 0
    rows = max(1, _STRIP_PIXELS // info.width)
    for strip in _fetched(_open(path, layout), info, rows):
        lowest, highest = min(lowest, int(strip[..., -1].min())), max(highest, int(strip[..., -1].max()))
        if highest > 0 and lowest < 2**info.depth - 1:
            break
    return lowest, highest


def _unsupported(what: str) -> ImageFailure:
    return ImageFailure(
        FailureCode.UNSUPPORTED, f"{what} is not supported; save it as one page of gray or RGB"
    )


def _damage(error: Exception) -> ImageFailure:
    words = " ".join(str(error).split())[:200]
    if "not supported" in words or "unknown pixel mode" in words:
        return _unsupported(f"a large TIFF of this kind ({words})")
    if any(sign in words.lower() for sign in _CUT_SHORT):
        return ImageFailure(FailureCode.TRUNCATED, f"the TIFF is cut short: {words}")
    return ImageFailure(FailureCode.CORRUPT, f"the TIFF cannot be decoded: {words}")
