"""Masters too large for memory: a local TIFF read by libvips strip by strip, as lightness.

What can be streamed: one page of gray or RGB, 8 or 16 bits a channel, with or without alpha, in strips or
tiles, BigTIFF too. Every pass opens the file again and reads it from the top down. libvips undoes MinIsWhite.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from pipeline.codecs.metadata import exif, iptc, profiles
from pipeline.codecs.metadata.block import SourceMeta, lost_profile
from pipeline.color.spaces import L_U16_SCALE, srgb_to_lab
from pipeline.errors import FailureCode, ImageFailure

U16 = NDArray[np.uint16]
Levels = NDArray[Any]  # uint8 or uint16

_STRIP_PIXELS = 2**21  # 4 MiB of lightness, 12 MiB of the 16-bit colour that is made of it
_SMALL_SIDE = 4096  # longest side of a reduced image, or twice what the network sees where that is more
_DEPTHS = {"uchar": 8, "ushort": 16}
_GRAY, _COLOUR = ("b-w", "grey16"), ("srgb", "rgb", "rgb16")
_MODES = {(1, 8): "L", (2, 8): "LA", (3, 8): "RGB", (4, 8): "RGBA"}
_MODES |= {(1, 16): "I;16", (2, 16): "LA;16", (3, 16): "RGB;16", (4, 16): "RGBA;16"}
_NEW_SUBFILE_TYPE, _REDUCED, _MASK = 254, 1, 4
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


class Master:
    """One master on a local file system.

    Raises ImageFailure, on opening and while it is read: UNSUPPORTED where it cannot be streamed, TOO_LARGE
    over `pixels`, TRUNCATED or CORRUPT.
    """

    def __init__(self, path: Path, *, pixels: int) -> None:
        self.path = path
        try:
            image = self._open()
            self.info = _examine(path, image, pixels)
            self._lut = _lightness_lut(self.info)
        except pyvips.Error as error:
            raise _damage(error) from None

    def reduced(self, side: int) -> Reduced:
        """One pass over the file for an image of moderate size; `side` is that of the network."""
        try:
            return self._reduced(side)
        except pyvips.Error as error:
            raise _damage(error) from None

    def strips(self) -> Iterator[tuple[U16, Levels | None]]:
        """One pass, from the top down: whole rows as `L_u16` uint16[n,W], and alpha[n,W] or None."""
        try:
            image = self._open()
            planes = self._lightness(image)
            if self.info.has_alpha:
                planes = planes.bandjoin(image[image.bands - 1].cast("ushort"))
            region = pyvips.Region.new(planes)
            rows = max(1, _STRIP_PIXELS // self.info.width)
            for top in range(0, self.info.height, rows):
                count = min(rows, self.info.height - top)
                data = region.fetch(0, top, self.info.width, count)
                both = np.frombuffer(data, np.uint16).reshape(count, self.info.width, planes.bands)
                alpha = both[..., 1].astype(_dtype(self.info.depth)) if self.info.has_alpha else None
                yield np.ascontiguousarray(both[..., 0]), alpha
        except pyvips.Error as error:
            raise _damage(error) from None

    def _open(self) -> pyvips.Image:
        image = pyvips.Image.new_from_file(str(self.path), access="sequential", fail_on="error")
        if (
            _orientation(image) > 1
        ):  # a turned image is not read from the top down: libvips unpacks it on disk
            return pyvips.Image.new_from_file(str(self.path), access="random", fail_on="error").autorot()
        return image

    def _lightness(self, image: pyvips.Image) -> pyvips.Image:
        if self._lut is not None:
            return image[0].maplut(self._lut)
        lab = self._srgb(image).colourspace("lab")
        return (lab[0] * L_U16_SCALE).rint().cast("ushort")

    def _srgb(self, image: pyvips.Image) -> pyvips.Image:
        colour = image[0:3].copy(interpretation="srgb" if self.info.depth == 8 else "rgb16")
        if self.info.meta.icc is None or profiles.examine(self.info.meta.icc).is_srgb:
            return colour
        return colour.icc_transform("srgb", embedded=True, depth=16, intent="relative")

    def _reduced(self, side: int) -> Reduced:
        image = self._open()
        factor = -(-max(self.info.width, self.info.height) // max(2 * side, _SMALL_SIDE))
        planes = self._lightness(image)
        if self._lut is None:
            planes = planes.bandjoin(self._srgb(image).colourspace("rgb16"))
        if self.info.has_alpha:
            planes = planes.bandjoin(image[image.bands - 1].cast("ushort"))
        array = planes.shrink(factor, factor, ceil=True).numpy()
        array = array if array.ndim == 3 else array[..., None]
        lightness, colour = array[..., 0], array[..., 1:4] if self._lut is None else None
        if self.info.has_alpha:
            cover = array[..., -1:].astype(np.float32) / (2**self.info.depth - 1)
            lightness = _on_white(lightness[..., None], cover)[..., 0]
            colour = None if colour is None else _on_white(colour, cover)
        rgb8 = None if colour is None else np.rint(colour / np.float32(257)).astype(np.uint8)
        return Reduced(np.ascontiguousarray(lightness), rgb8)


def _on_white(levels: U16, cover: NDArray[np.float32]) -> U16:
    return np.rint(levels * cover + np.float32(65535) * (1 - cover)).astype(np.uint16)


def _dtype(depth: int) -> type[np.uint8] | type[np.uint16]:
    return np.uint8 if depth == 8 else np.uint16


def _orientation(image: pyvips.Image) -> int:
    return int(image.get("orientation")) if image.get_typeof("orientation") else 1


def _examine(path: Path, image: pyvips.Image, pixels: int) -> MasterInfo:
    if image.width * image.height > pixels:
        size = f"{image.width} x {image.height} is {image.width * image.height:,} pixels"
        raise ImageFailure(FailureCode.TOO_LARGE, f"{size}; the limit is {pixels:,}, raise limits.pixels")
    depth, alpha = _DEPTHS.get(image.format), image.hasalpha()
    bands = image.bands - alpha
    if depth is None or image.get("vips-loader") != "tiffload":
        raise _unsupported(f"a large {image.get('vips-loader')[:-4]} of {image.format} samples")
    if (bands, image.interpretation in _GRAY) not in ((1, True), (3, False)) or (
        bands == 3 and image.interpretation not in _COLOUR
    ):
        raise _unsupported(f"a large TIFF of {image.bands} channels ({image.interpretation})")
    notes: list[str] = []
    with path.open("rb") as file:
        carried, changes = _header(file, image.width, image.height)
    icc = bytes(image.get("icc-profile-data")) if image.get_typeof("icc-profile-data") else None
    embedded = icc
    if icc is not None and profiles.examine(icc).mode not in (("L", "RGB") if bands == 1 else ("RGB",)):
        problem = profiles.examine(icc).problem or "it does not fit the pixels"
        notes.append(f"its colour profile was ignored: {problem}")
        icc = None
    xmp = bytes(image.get("xmp-data")) if image.get_typeof("xmp-data") else None
    has_dpi = image.get_typeof("resolution-unit") != 0
    dpi = (round(image.xres * 25.4, 4), round(image.yres * 25.4, 4)) if has_dpi else None
    found = bytes(image.get("iptc-data")) if image.get_typeof("iptc-data") else None
    iim, of_iptc = iptc.carried_iptc(found)
    lost = [] if icc is not None else [lost_profile(embedded)]
    meta = SourceMeta("TIFF", icc, carried, xmp, dpi, iptc=iim, changes=(*lost, *changes, *of_iptc))
    mode = _MODES[image.bands, depth]
    return MasterInfo(image.width, image.height, depth, mode, alpha, meta, tuple(notes))


class _Header:
    """The part of a Pillow image that `exif.carried_exif` asks for: Pillow has no 16-bit RGB to open."""

    def __init__(self, tags: Image.Exif) -> None:
        self.tags = tags

    def getexif(self) -> Image.Exif:
        return self.tags


def _header(file: Any, width: int, height: int) -> tuple[bytes | None, list[str]]:
    """The EXIF that goes on, and what of it does not. Raises UNSUPPORTED for further pages, which reduced
    copies of the first are not."""
    head = file.read(8)
    big = head[2:4] in (b"+\x00", b"\x00+")
    head += file.read(8) if big else b""
    directory = TiffImagePlugin.ImageFileDirectory_v2(head)
    first, pages, seen = directory.next, 0, set()
    while directory.next and directory.next not in seen:
        seen.add(directory.next)
        file.seek(directory.next)
        directory.load(file)
        pages += not int(directory.get(_NEW_SUBFILE_TYPE, 0)) & (_REDUCED | _MASK)
    if pages > 1:
        raise _unsupported(f"a large TIFF of {pages} pages")
    tags = Image.Exif()
    tags.bigtiff, tags.endian = big, "<" if head[:2] == b"II" else ">"
    try:
        tags.load_from_fp(file, first)
        return exif.carried_exif(_Header(tags), width, height)  # type: ignore[arg-type]
    except exif.UNREADABLE:
        return None, ["exif: cannot be read, left out"]


def _lightness_lut(info: MasterInfo) -> pyvips.Image | None:
    """A libvips table from gray levels to `L_u16`, through the profile; None for RGB."""
    if info.mode[0] not in "LI":
        return None
    levels = 2**info.depth
    if info.meta.icc is None or profiles.examine(info.meta.icc).is_srgb:
        srgb = np.arange(levels) / (levels - 1)
    else:
        bands = 1 if profiles.examine(info.meta.icc).mode == "L" else 3
        ramp = np.repeat(np.arange(levels, dtype=_dtype(info.depth))[:, None], bands, axis=1)
        image = pyvips.Image.new_from_memory(
            ramp.tobytes(), levels, 1, bands, "uchar" if info.depth == 8 else "ushort"
        ).copy(interpretation=("b-w", "grey16", "srgb", "rgb16")[(bands == 3) * 2 + (info.depth == 16)])
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", info.meta.icc)
        converted = image.icc_transform("srgb", embedded=True, depth=16, intent="relative")
        srgb = converted.numpy()[0, :, 1] / 65535
    lightness = srgb_to_lab(np.repeat(srgb[:, None], 3, axis=1))[:, 0]
    table = np.rint(np.clip(lightness, 0, 100) * L_U16_SCALE).astype(np.uint16)
    return pyvips.Image.new_from_memory(table.tobytes(), levels, 1, 1, "ushort")


def _unsupported(what: str) -> ImageFailure:
    return ImageFailure(
        FailureCode.UNSUPPORTED, f"{what} is not supported; save it as one page of gray or RGB"
    )


def _damage(error: pyvips.Error) -> ImageFailure:
    words = " ".join(str(error).split())[:200]
    if any(sign in words.lower() for sign in _CUT_SHORT):
        return ImageFailure(FailureCode.TRUNCATED, f"the TIFF is cut short: {words}")
    return ImageFailure(FailureCode.CORRUPT, f"the TIFF cannot be decoded: {words}")
