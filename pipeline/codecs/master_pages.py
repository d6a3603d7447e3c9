"""Examine the pages of a large TIFF: how libvips reads each, and which are refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from pipeline.codecs import sniff
from pipeline.codecs.metadata import exif
from pipeline.codecs.metadata.block import SourceMeta, read_metadata
from pipeline.codecs.sample_light import Meaning, meaning
from pipeline.codecs.tiff.directories import EXTRA_SAMPLES, channels, photographs, read_directories
from pipeline.codecs.tiff.source import CHANNELS, TiffSource
from pipeline.codecs.upright import HIDDEN, with_source
from pipeline.errors import FailureCode, ImageFailure

Levels = NDArray[Any]  # uint8 or uint16

STRIP_PIXELS = 2**21  # 4 MiB of lightness, 12 MiB of the 16-bit colour that is made of it
_DEPTHS = {"uchar": 8, "ushort": 16}
_GRAY, _COLOUR = ("b-w", "grey16"), ("srgb", "rgb", "rgb16")
_MODES = {(1, 8): "L", (2, 8): "LA", (3, 8): "RGB", (4, 8): "RGBA"}
_MODES |= {(1, 16): "I;16", (2, 16): "LA;16", (3, 16): "RGB;16", (4, 16): "RGBA;16"}
_PALETTE, _STREAMED = 3, (0, 1, 2, 3, 6)  # photometric interpretations
_ASSOCIATED = 1
_NOT_HERE = ("not supported", "not configured", "unknown pixel mode", "samples out of range")
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
class Layout:
    """How a page is read: which one, channels (colours, then alpha), which way up, what the samples mean."""

    page: int
    bands: tuple[int, ...]
    turn: int
    meaning: Meaning


def examine(path: Path, pixels: int) -> list[tuple[MasterInfo, Layout]]:
    """What every page is and how it is read."""
    with path.open("rb") as file:
        if sniff.readable_format(file.read(16)) != "TIFF":
            raise _unsupported("a large file whose content is not TIFF")
        pages = photographs(read_directories(file))
        file.seek(0)
        source, examined = TiffSource(file), []
        for number, directory in enumerate(pages.photographs, 1):
            try:
                info, layout = _examine_page(path, source, directory.index, pixels)
            except Exception as error:
                raise in_page(number, len(pages.photographs), failure_of(error)) from error
            meta = replace(info.meta, changes=(*info.meta.changes, *pages.left_out))
            examined.append((replace(info, meta=meta), layout))
    return examined


def in_page(number: int, pages: int, failure: ImageFailure) -> ImageFailure:
    """The failure, with its page number (from 1) if there are several pages."""
    if pages == 1:
        return failure
    return ImageFailure(failure.code, f"page {number} of {pages}: {failure.message}")


def failure_of(error: Exception) -> ImageFailure:
    # whatever a hostile file makes a parser raise, the image has failed
    return error if isinstance(error, ImageFailure) else damage(error)


def _examine_page(path: Path, source: TiffSource, index: int, pixels: int) -> tuple[MasterInfo, Layout]:
    if source.tell() != index:
        source.seek(index)
    if source.photometric not in _STREAMED or source.has_gray_planes or source.is_jpeg_with_more:
        raise _unsupported(f"a large TIFF of photometric interpretation {source.photometric}")
    image = pyvips.Image.new_from_file(str(path), access="sequential", fail_on="error", page=index)
    bands, notes = _bands(source, image, pixels)
    depth, turn = _DEPTHS[image.format], exif.orientation(source).value
    light = meaning(len(bands.colours) == 1, depth, source.statements())
    width, height = (image.height, image.width) if turn >= 5 else (image.width, image.height)
    meta = with_source(read_metadata(source, "TIFF", (width, height), light.icc), light)
    chosen = bands.colours + (() if bands.alpha is None else (bands.alpha,))
    mode = "P" if source.photometric == _PALETTE else _MODES[len(chosen), depth]
    info = MasterInfo(width, height, depth, mode, bands.alpha is not None, meta)
    layout = Layout(index, chosen, turn, light)
    if bands.alpha is not None:
        lowest, highest = _alpha_range(path, layout, info)
        if highest == 0 and bands.is_associated:
            raise _unsupported("a large TIFF whose premultiplied alpha hides everything")
        if highest == 0 or lowest == 2**depth - 1:
            notes += [HIDDEN] if highest == 0 else []
            mode = _MODES[len(bands.colours), depth]
            info = replace(info, has_alpha=False, mode=mode)
            layout = replace(layout, bands=chosen[:-1])
    return replace(info, notes=(*notes, *light.notes)), layout


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
    if associated and extra is not None and len(extra) > 1:
        raise _unsupported("a large TIFF of premultiplied alpha among other channels")
    return _Bands(tuple(range(colours)), rule.alpha, associated), [rule.note] if rule.note else []


def _alpha_range(path: Path, layout: Layout, info: MasterInfo) -> tuple[int, int]:
    """The smallest and largest alpha. This takes a separate pass, unless alpha soon varies."""
    lowest, highest = 2**info.depth - 1, 0
    rows = max(1, STRIP_PIXELS // info.width)
    for strip in fetched(open_page(path, layout), info, rows):
        lowest, highest = min(lowest, int(strip[..., -1].min())), max(highest, int(strip[..., -1].max()))
        if highest > 0 and lowest < 2**info.depth - 1:
            break
    return lowest, highest


def _unsupported(what: str) -> ImageFailure:
    return ImageFailure(
        FailureCode.UNSUPPORTED, f"{what} is not supported; save it as gray or RGB of 8 or 16 bits"
    )


def damage(error: Exception) -> ImageFailure:
    words = " ".join(str(error).split())[:200]
    if any(sign in words for sign in _NOT_HERE):
        return _unsupported(f"a large TIFF of this kind ({words})")
    if any(sign in words.lower() for sign in _CUT_SHORT):
        return ImageFailure(FailureCode.TRUNCATED, f"the TIFF is cut short: {words}")
    return ImageFailure(FailureCode.CORRUPT, f"the TIFF cannot be decoded: {words}")


def open_page(path: Path, layout: Layout) -> pyvips.Image:
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


def fetched(image: pyvips.Image, info: MasterInfo, count: int) -> Iterator[Levels]:
    """The image in rows of [count,W,channels]."""
    region = pyvips.Region.new(image)
    for top in range(0, info.height, count):
        rows = min(count, info.height - top)
        data = region.fetch(0, top, info.width, rows)
        yield np.frombuffer(data, _dtype(info.depth)).reshape(rows, info.width, image.bands)


def _dtype(depth: int) -> type[np.uint8] | type[np.uint16]:
    return np.uint8 if depth == 8 else np.uint16
