"""From samples as a file stores them to upright gray or sRGB pixels: orientation, colour profile, alpha."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from pipeline.codecs import deep
from pipeline.codecs.metadata import exif, profiles
from pipeline.codecs.metadata.block import SourceMeta, read_metadata
from pipeline.codecs.tiff.source import CURVE_APPLIED

U8 = NDArray[np.uint8]
Levels = NDArray[Any]  # uint8 or uint16

GRAY_MODES = {"1", "L", "LA", "La"}
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
    """An upright picture: `array` uint8 or uint16, [H,W] gray or [H,W,3] sRGB; `alpha` uint8[H,W] or None.

    meta.icc is the profile that a result can carry; pages: how many the file has, of which this is one.
    """

    array: Levels
    alpha: U8 | None
    mode: str
    meta: SourceMeta
    notes: list[str] = field(default_factory=list)
    pages: int = 1


def finish_eight(image: ImageFile.ImageFile, format_: str, notes: list[str]) -> Pixels:
    """A loaded picture of 8 bits."""
    mode, upright = image.mode, cast(Image.Image, image)
    if (turn := _TURNS.get(exif.orientation(image))) is not None:
        upright = image.transpose(turn)
    icc = image.info.get("icc_profile") or None
    if mode == "CMYK":
        upright, why = profiles.cmyk_to_srgb(upright, icc)
        icc = None
        notes += [why] if why else []
    array, alpha = _to_arrays(upright)
    if icc is not None:
        array, icc = _honour_profile(array, icc, notes)
    return Pixels(array, alpha, mode, read_metadata(image, format_, upright.size, icc), notes)


def finish_deep(
    image: ImageFile.ImageFile, array: Levels, alpha: U8 | None, format_: str, notes: list[str]
) -> Pixels:
    """As `finish_eight`, of pixels uint16[H,W], [H,W,3] or, for CMYK, [H,W,4]; HEIF and AVIF come upright."""
    turn = 1 if format_ in ("HEIF", "AVIF") else exif.orientation(image)
    array = _turned(array, turn)
    alpha = None if alpha is None else _turned(alpha, turn)
    icc = image.info.get("icc_profile") or None
    mode = ("I;16" if image.mode == "F" else image.mode) if array.ndim == 2 else "RGB;16"
    if array.ndim == 3 and array.shape[2] == 4:
        array, why = profiles.cmyk16_to_srgb(array, icc)
        icc, mode = None, "CMYK;16"
        notes += [why] if why else []
    elif icc is None and array.ndim == 3 and CURVE_APPLIED not in notes:
        notes.append("no colour profile: sRGB was assumed")
    if icc is not None:
        array, icc = _honour_profile(array, icc, notes)
    size = (array.shape[1], array.shape[0])
    return Pixels(array, alpha, mode, read_metadata(image, format_, size, icc), notes)


def _turned(array: Levels, orientation: int) -> Levels:
    """The array upright, by EXIF orientation 1 to 8 (EXIF 3.0, 4.6.5.1.6)."""
    if orientation >= 5:
        array = np.swapaxes(array, 0, 1)
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return np.ascontiguousarray(array)


def _to_arrays(image: Image.Image) -> tuple[U8, U8 | None]:
    gray = image.mode in GRAY_MODES
    if image.has_transparency_data:
        both = np.asarray(_premultiplied_undone(image).convert("LA" if gray else "RGBA"))
        alpha = np.ascontiguousarray(both[..., -1])
        colours = both[..., 0] if gray else both[..., :3]
        return np.ascontiguousarray(colours), None if alpha.min() == 255 else alpha
    return np.array(image.convert("L" if gray else "RGB")), None


def _premultiplied_undone(image: Image.Image) -> Image.Image:
    return image.convert({"La": "LA", "RGBa": "RGBA"}[image.mode]) if image.mode in ("La", "RGBa") else image


def _honour_profile(array: Levels, icc: bytes, notes: list[str]) -> tuple[Levels, bytes | None]:
    """The pixels in sRGB, and the profile if a result can carry it."""
    profile = profiles.examine(icc)
    needed = "L" if array.ndim == 2 else "RGB"
    if profile.is_srgb:
        return array, icc
    is_deep = array.dtype == np.uint16
    if needed == "L" and profile.mode is not None:
        # gray under an RGB profile: a scan that was reduced to one channel; the profile's gray axis counts
        if is_deep:
            return deep.gray16_to_srgb(array, icc, profile.mode), None
        return profiles.gray_to_srgb(array, icc), None
    if profile.mode != needed:
        notes.append(f"its colour profile was ignored: {profile.problem or 'it does not fit the pixels'}")
        return array, None
    return profiles.from_profile(array, icc), icc
