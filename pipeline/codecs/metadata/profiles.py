"""ICC profiles: from a source's colour space to sRGB and back, with LittleCMS.

Intent is relative colorimetric both ways, so that what sRGB can hold comes back as it went. A profile that is
broken or does not fit the pixels is ignored, and the caller is told so.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from pipeline.codecs import deep

U8 = NDArray[np.uint8]
Levels = NDArray[Any]  # uint8 or uint16

# The largest real profiles, for presses, are near 3 MB; what is larger is an attack or damage.
_LARGEST = 8 * 2**20
# Published sRGB profiles differ from each other by a level of 8 bits: rounding of curves and of primaries.
_SAME_LEVELS = 2
_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
_PLAIN_INKS = "no usable CMYK profile: its inks were taken as plain complements of RGB"
_COLOUR_SPACES = {"RGB ": "RGB", "GRAY": "L"}


@dataclass(frozen=True)
class Profile:
    """What a profile is good for: `mode` RGB or L, None where it cannot be used; `is_srgb` by its effect."""

    mode: str | None
    is_srgb: bool
    problem: str | None = None


@lru_cache(maxsize=1)
def srgb_profile() -> bytes:
    """An sRGB profile (IEC 61966-2-1) of constant bytes: LittleCMS writes the time of day into its own."""
    made = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    made[24:36] = b"".join(number.to_bytes(2, "big") for number in (2000, 1, 1, 0, 0, 0))  # ICC.1, 7.2.8
    made[84:100] = bytes(16)  # profile ID: zero means not computed (7.2.18)
    return bytes(made)


@lru_cache(maxsize=32)
def examine(icc: bytes) -> Profile:
    """Whether and how a profile can be used: opened, and tried on a grid of colours."""
    if len(icc) > _LARGEST:
        return Profile(None, False, "it is implausibly large")
    try:
        space = ImageCms.ImageCmsProfile(io.BytesIO(icc)).profile.xcolor_space
        mode = _COLOUR_SPACES.get(space)
        if mode is None:
            return Profile(None, False, f"it is for {space.strip() or 'unknown'} pixels")
        if mode == "L":
            _transform(icc, "L", to_srgb=True)
            return Profile("L", False)
        levels = np.array(list(product(range(0, 256, 15), repeat=3)), np.uint8)[None]
        converted = _apply(_transform(icc, "RGB", to_srgb=True), levels)
        return Profile("RGB", int(np.abs(converted.astype(int) - levels).max()) <= _SAME_LEVELS)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, AttributeError) as error:
        return Profile(None, False, f"it cannot be read ({error})")


def gray_to_srgb(gray8: U8, icc: bytes) -> U8:
    """uint8[H,W] under a gray profile, or an RGB one with R = G = B, to sRGB gray levels: a table of 256."""
    mode = examine(icc).mode or "L"
    ramp = np.arange(256, dtype=np.uint8)[None]
    levels = ramp if mode == "L" else np.repeat(ramp[..., None], 3, axis=2)
    table = _apply(_transform(icc, mode, to_srgb=True), levels)[0, :, 1]
    return np.take(table, gray8)


def cmyk_to_srgb(cmyk: Image.Image, icc: bytes | None) -> tuple[Image.Image, str | None]:
    """A CMYK picture in sRGB by its profile, else by plain subtraction; the second is then why."""
    if icc is not None and len(icc) <= _LARGEST:
        try:
            theirs = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            if theirs.profile.xcolor_space == "CMYK":
                ours = ImageCms.ImageCmsProfile(io.BytesIO(srgb_profile()))
                made = ImageCms.ImageCmsTransform(theirs, ours, "CMYK", "RGB", intent=_INTENT).apply(cmyk)
                return made, None
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError, AttributeError):
            pass  # as without a profile, which is said
    return cmyk.convert("RGB"), _PLAIN_INKS


def cmyk16_to_srgb(cmyk16: NDArray[np.uint16], icc: bytes | None) -> tuple[NDArray[np.uint16], str | None]:
    """As `cmyk_to_srgb`, of uint16[H,W,4] with 0 for no ink, to uint16[H,W,3]."""
    if icc is not None and len(icc) <= _LARGEST:
        try:
            if ImageCms.ImageCmsProfile(io.BytesIO(icc)).profile.xcolor_space == "CMYK":
                return deep.rgb16_to_srgb(cmyk16, icc), None
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError, AttributeError):
            pass  # as without a profile, which is said
    white = np.float32(65535)
    made = (white - cmyk16[..., :3]) * ((white - cmyk16[..., 3:]) / white)
    return np.rint(made).astype(np.uint16), _PLAIN_INKS


def from_profile(rgb: Levels, icc: bytes | None) -> Levels:
    """uint8 or uint16[H,W,3] under an RGB profile to sRGB; unchanged without a usable one other than sRGB."""
    if icc is None or not _differs(icc):
        return rgb
    return deep.rgb16_to_srgb(rgb, icc) if rgb.dtype == np.uint16 else _apply(_to_srgb(icc), rgb)


def to_profile(rgb: Levels, icc: bytes | None) -> Levels | None:
    """sRGB uint8 or uint16[H,W,3] under the RGB profile of the source; None where sRGB is to be written.

    That is: without a profile, with one that is sRGB in effect, and with one that is no RGB profile.
    """
    if icc is None or not _differs(icc):
        return None
    if rgb.dtype == np.uint16:
        return deep.rgb16_from_srgb(rgb, icc)
    return _apply(_transform(icc, "RGB", to_srgb=False), rgb)


def _to_srgb(icc: bytes) -> ImageCms.ImageCmsTransform:
    return _transform(icc, "RGB", to_srgb=True)


def _differs(icc: bytes) -> bool:
    profile = examine(icc)
    return profile.mode == "RGB" and not profile.is_srgb


@lru_cache(maxsize=32)
def _transform(icc: bytes, mode: str, *, to_srgb: bool) -> ImageCms.ImageCmsTransform:
    theirs = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    ours = ImageCms.ImageCmsProfile(io.BytesIO(srgb_profile()))
    pair = (theirs, ours) if to_srgb else (ours, theirs)
    return ImageCms.ImageCmsTransform(*pair, mode, "RGB", intent=_INTENT)


def _apply(transform: ImageCms.ImageCmsTransform, rgb8: U8) -> U8:
    return np.array(transform.apply(Image.fromarray(rgb8)))
