"""Convert samples as stored in a file to upright ones with their meaning: orientation, profile, alpha."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, TiffImagePlugin

from pipeline.codecs.metadata import exif, profiles
from pipeline.codecs.metadata.block import SourceMeta, read_metadata
from pipeline.codecs.sample_light import Meaning, Statement, meaning
from pipeline.color.light import SRGB, Light, to_srgb8

U8 = NDArray[np.uint8]
Levels = NDArray[Any]  # uint8 or uint16

GRAY_MODES = {"1", "L", "LA", "La"}
_PREMULTIPLIED = {"La": "LA", "RGBa": "RGBA"}
_ASSUMED = "icc: none, sRGB assumed"
HIDDEN = "its alpha channel hides everything: it was left out"
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass
class Pixels:
    """An upright picture: `array` uint8 or uint16, [H,W] gray or [H,W,3]; `alpha` uint8 or
    uint16[H,W], or None.

    light: what the samples of the array mean; depth: bits per sample of the source, 8 or 16. meta.icc is the
    profile that a result can carry; pages: how many the file has, of which this is one.
    """

    array: Levels
    alpha: Levels | None
    mode: str
    meta: SourceMeta
    notes: list[str] = field(default_factory=list)
    pages: int = 1
    light: Light = SRGB
    depth: int = 8

    def srgb8(self) -> U8:
        """The picture as sRGB of 8 bits, uint8[H,W] or [H,W,3]."""
        return to_srgb8(self.array, self.light)


def finish_eight(
    image: ImageFile.ImageFile,
    format_: str,
    statements: Iterable[Statement],
    notes: list[str],
    *,
    opaque: bool = False,
) -> Pixels:
    """A loaded picture of 8 bits; `statements` say what its samples mean. opaque: its alpha is none."""
    mode, upright = image.mode, cast(Image.Image, image)
    turned = exif.orientation(image)
    by_pillow = isinstance(image, TiffImagePlugin.TiffImageFile) and turned.source == "exif"
    if not by_pillow and (turn := _TURNS.get(turned.value)) is not None:
        upright = image.transpose(turn)
    if mode == "CMYK":
        upright, why = profiles.cmyk_to_srgb(upright, image.info.get("icc_profile") or None)
        statements = ()
        notes += [why] if why else []
    if opaque:
        upright = upright.convert("L" if upright.mode in GRAY_MODES else "RGB")
    array, alpha = _to_arrays(upright, notes)
    found = meaning(array.ndim == 2, 8, statements)
    return _pixels(image, format_, array, found, alpha, mode, notes, depth=8)


def finish_array(
    image: ImageFile.ImageFile,
    array: Levels,
    alpha: Levels | None,
    format_: str,
    statements: Iterable[Statement],
    notes: list[str],
    depth: int | None = None,
) -> Pixels:
    """As `finish_eight`, of samples uint8 or uint16[H,W], [H,W,3] or, for CMYK, [H,W,4]; HEIF and AVIF come
    upright. depth: of the samples in the file, where it is not the array's."""
    turn = 1 if format_ in ("HEIF", "AVIF") else exif.orientation(image).value
    array = _turned(array, turn)
    alpha = None if alpha is None else _turned(alpha, turn)
    if alpha is not None and not alpha.any():
        alpha, notes = None, [*notes, HIDDEN]
    depth = depth or 8 * array.itemsize
    if array.ndim == 3 and array.shape[2] == 4:
        array, notes = _inks(array, image.info.get("icc_profile") or None, notes)
        return _pixels(image, format_, array, Meaning(SRGB), alpha, _CMYK_MODES[depth], notes, depth)
    mode = _MODES[depth, array.ndim, depth == 8 and alpha is not None]
    found = meaning(array.ndim == 2, 8 * array.itemsize, statements)
    return _pixels(image, format_, array, found, alpha, mode, notes, depth)


_CMYK_MODES = {8: "CMYK", 16: "CMYK;16"}
# Of pixels that Pillow does not hold, by depth, dimensions and whether there is alpha.
_MODES = {(8, 2, False): "L", (8, 2, True): "LA", (8, 3, False): "RGB", (8, 3, True): "RGBA"}
_MODES |= {(16, 2, False): "I;16", (16, 3, False): "RGB;16"}


def _inks(array: Levels, icc: bytes | None, notes: list[str]) -> tuple[Levels, list[str]]:
    if array.dtype == np.uint16:
        rgb, why = profiles.cmyk16_to_srgb(array, icc)
    else:
        image, why = profiles.cmyk_to_srgb(Image.fromarray(array, "CMYK"), icc)
        rgb = np.array(image)
    return rgb, [*notes, why] if why else notes


def _pixels(
    image: ImageFile.ImageFile,
    format_: str,
    array: Levels,
    found: Meaning,
    alpha: Levels | None,
    mode: str,
    notes: list[str],
    depth: int,
) -> Pixels:
    """Put together, with the metadata of the file."""
    meta = with_source(read_metadata(image, format_, (array.shape[1], array.shape[0]), found.icc), found)
    samples, light = found.applied(array)
    return Pixels(samples, alpha, mode, meta, [*notes, *found.notes], light=light, depth=depth)


def with_source(meta: SourceMeta, found: Meaning) -> SourceMeta:
    """The metadata with what the light was read from in place of an assumption."""
    if found.source is None:
        return meta
    said = f"icc: none, {found.source}"
    return replace(meta, changes=tuple(said if one == _ASSUMED else one for one in meta.changes))


def _turned(array: Levels, orientation: int) -> Levels:
    """The array upright, by EXIF orientation 1 to 8 (EXIF 3.0, 4.6.5.1.6)."""
    if orientation >= 5:
        array = np.swapaxes(array, 0, 1)
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return np.ascontiguousarray(array)


def _to_arrays(image: Image.Image, notes: list[str]) -> tuple[U8, U8 | None]:
    gray = image.mode in GRAY_MODES
    if not image.has_transparency_data:
        wanted = "L" if gray else "RGB"  # a conversion to the same mode would copy
        return np.asarray(image if image.mode == wanted else image.convert(wanted)), None
    if image.mode in _PREMULTIPLIED and not np.asarray(image)[..., -1].any():
        both = np.asarray(image)  # as stored: alpha is 0 everywhere
    else:
        both = np.asarray(_premultiplied_undone(image).convert("LA" if gray else "RGBA"))
    alpha: U8 | None = np.ascontiguousarray(both[..., -1])
    colours = both[..., 0] if gray else both[..., :3]
    if not alpha.any():  # type: ignore[union-attr]
        notes.append(HIDDEN)
        alpha = None
    elif alpha.min() == 255:  # type: ignore[union-attr]
        alpha = None
    return np.ascontiguousarray(colours), alpha


def _premultiplied_undone(image: Image.Image) -> Image.Image:
    return image.convert(_PREMULTIPLIED[image.mode]) if image.mode in _PREMULTIPLIED else image
