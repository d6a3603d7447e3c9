"""ICC profiles: interpret the samples of a source, and convert sRGB back into a profile.

The intent is relative colorimetric in both directions, so colours inside sRGB survive a round trip. A profile
that is broken or does not fit the pixels is ignored, and the caller learns why. Gray and matrix profiles are
computed here (`icc`); those with lookup tables go through LittleCMS, without the optimisation that bends
them.
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

from pipeline.codecs import deep_pixels
from pipeline.codecs.metadata import icc as tags
from pipeline.color.light import SRGB, Light, d50_to_linear_srgb, lightness
from pipeline.color.spaces import L_U16_SCALE, RGB_TO_XYZ

U8 = NDArray[np.uint8]
Levels = NDArray[Any]  # uint8 or uint16

# The largest real profiles, for presses, are near 3 MB; what is larger is an attack or damage.
_LARGEST = 8 * 2**20
# Published sRGB profiles differ from each other by a level of 8 bits: rounding of curves and of primaries.
_SAME_LEVELS = 2
# Largest difference of L* over all grays of a profile that is taken for sRGB itself, by levels of a sample.
_SAME_LIGHTNESS = {256: 0.5, 65536: 0.02}
_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
_PLAIN_INKS = "no usable CMYK profile: its inks were taken as plain complements of RGB"
_COLOUR_SPACES = {"RGB ": "RGB", "GRAY": "L"}
_SINGULAR = 1e-6  # determinant of colorants that are no three colours
_UNUSABLE = (ImageCms.PyCMSError, OSError, ValueError, TypeError, AttributeError)
_NO_OPTIMISATION, _FINE_TABLES = 0x0100, 0x0400  # LittleCMS 2, cmsFLAGS_*
# Pixels from which LittleCMS may use tables of its own: exact, it takes half a second for a million.
_EXACT_PIXELS = 2**24
_XYZ_ONE = 32768  # ICC's XYZ of 16 bits: u1Fixed15 (ICC.1:2022, 4.14)


@dataclass(frozen=True)
class Profile:
    """How a profile can be used.

    Attributes:
        mode: RGB or L, None where it cannot be used.
        is_srgb: by its effect.
        problem: why it cannot be used.
        writable: whether pixels can be converted into it; scanners' profiles can only be read.
    """

    mode: str | None
    is_srgb: bool
    problem: str | None = None
    writable: bool = True


@lru_cache(maxsize=1)
def srgb_profile() -> bytes:
    """An sRGB profile (IEC 61966-2-1) of constant bytes: LittleCMS writes the time of day into its own."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = b"".join(number.to_bytes(2, "big") for number in (2000, 1, 1, 0, 0, 0))  # ICC.1, 7.2.8
    profile[84:100] = bytes(16)  # profile ID: zero means not computed (7.2.18)
    return bytes(profile)


@lru_cache(maxsize=32)
def examine(icc: bytes) -> Profile:
    """Whether and how a profile can be used: opened, and tried on a grid of colours."""
    if len(icc) > _LARGEST:
        return Profile(None, False, "it is too large")
    try:
        space = ImageCms.ImageCmsProfile(io.BytesIO(icc)).profile.xcolor_space
        mode = _COLOUR_SPACES.get(space)
        if mode is None:
            return Profile(None, False, f"it is for {space.strip() or 'unknown'} pixels")
        curves = tags.read_curves(icc)
        if mode == "L":
            _transform(icc, "L", to_srgb=True)
            return Profile("L", False)
        levels = np.array(list(product(range(0, 256, 15), repeat=3)), np.uint8)[None]
        converted = _apply(_transform(icc, "RGB", to_srgb=True), levels)
        is_srgb = int(np.abs(converted.astype(int) - levels).max()) <= _SAME_LEVELS
        is_srgb = is_srgb and (curves is None or _differs_in_light(curves, 256) <= _SAME_LIGHTNESS[256])
        return Profile("RGB", is_srgb, writable=_is_writable(icc, curves))
    except _UNUSABLE as error:
        return Profile(None, False, f"it cannot be read ({error})")


def _is_writable(icc: bytes, curves: tags.CurveProfile | None) -> bool:
    if curves is not None:
        return curves.colorants is not None and abs(float(np.linalg.det(curves.colorants))) > _SINGULAR
    try:
        _transform(icc, "RGB", to_srgb=False)
    except _UNUSABLE:
        return False
    return True


def _differs_in_light(curves: tags.CurveProfile, levels: int) -> float:
    """The largest difference of L* to sRGB over all grays."""
    ramp = np.arange(levels).astype(np.uint8 if levels == 256 else np.uint16)[None]
    apart = lightness(ramp, curves.light(levels)).astype(int) - lightness(ramp)
    return float(np.abs(apart).max() / L_U16_SCALE)


@lru_cache(maxsize=8)
def light_of(icc: bytes, levels: int, gray: bool = False) -> Light | None:
    """What a usable profile means for samples of 256 or 65536 levels, RGB or gray; None for RGB under lookup
    tables, which `through_profile` reads."""
    curves, profile = tags.read_curves(icc), examine(icc)
    if profile.is_srgb and (curves is None or _differs_in_light(curves, levels) <= _SAME_LIGHTNESS[levels]):
        return SRGB
    if curves is not None or not gray:
        return None if curves is None else curves.light(levels)
    ramp = np.arange(levels).astype(np.uint8 if levels == 256 else np.uint16)[None]
    given = ramp if profile.mode == "L" else np.repeat(ramp[..., None], 3, axis=2)
    xyz = _xyz16(np.ascontiguousarray(given), icc, profile.mode)[0] / _XYZ_ONE
    return Light(np.clip(xyz @ d50_to_linear_srgb().T @ RGB_TO_XYZ[1], 0, 1)[None])


def through_profile(samples: Levels, icc: bytes) -> tuple[Levels, Light]:
    """Samples uint8 or uint16[H,W,3] under a usable RGB profile, and what they mean: the same with its light,
    or what LittleCMS makes of those under lookup tables."""
    if (light := light_of(icc, _levels(samples))) is not None:
        return samples, light
    return _xyz16(np.ascontiguousarray(samples), icc, "RGB"), xyz_light()


@lru_cache(maxsize=1)
def xyz_light() -> Light:
    """Of ICC's XYZ in 16 bits: finer than 0.03 L* in the deepest shadows."""
    return Light((np.arange(65536) / _XYZ_ONE)[None], d50_to_linear_srgb())


def _xyz16(samples: Levels, icc: bytes, mode: str | None) -> NDArray[np.uint16]:
    """uint16[H,W,3] of XYZ by LittleCMS."""
    from imagecodecs import cms_profile, cms_transform  # 45 MB of libraries, for the few that come

    flags = _NO_OPTIMISATION if samples.shape[0] * samples.shape[1] <= _EXACT_PIXELS else _FINE_TABLES
    try:
        xyz = cms_transform(
            samples,
            icc,
            cms_profile("xyz"),
            colorspace="gray" if mode == "L" else "rgb",
            outcolorspace="xyz",
            outdtype="uint16",
            intent=int(_INTENT),
            flags=flags,
        )
    except RuntimeError as error:
        raise ValueError(f"the colour profile cannot be applied: {error}") from None
    return np.asarray(xyz, dtype=np.uint16).reshape(*samples.shape[:2], 3)


def _levels(samples: Levels) -> int:
    return 256 if samples.dtype == np.uint8 else 65536


def cmyk_to_srgb(cmyk: Image.Image, icc: bytes | None) -> tuple[Image.Image, str | None]:
    """A CMYK picture in sRGB by its profile, else by plain subtraction; the second is then why."""
    if icc is not None and len(icc) <= _LARGEST:
        try:
            theirs = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            if theirs.profile.xcolor_space == "CMYK":
                ours = ImageCms.ImageCmsProfile(io.BytesIO(srgb_profile()))
                transform = ImageCms.ImageCmsTransform(theirs, ours, "CMYK", "RGB", intent=_INTENT)
                return transform.apply(cmyk), None
        except _UNUSABLE:
            pass  # as without a profile, which is said
    return cmyk.convert("RGB"), _PLAIN_INKS


def cmyk16_to_srgb(cmyk16: NDArray[np.uint16], icc: bytes | None) -> tuple[NDArray[np.uint16], str | None]:
    """As `cmyk_to_srgb`, of uint16[H,W,4] with 0 for no ink, to uint16[H,W,3]."""
    if icc is not None and len(icc) <= _LARGEST:
        try:
            if ImageCms.ImageCmsProfile(io.BytesIO(icc)).profile.xcolor_space == "CMYK":
                return deep_pixels.rgb16_to_srgb(cmyk16, icc), None
        except _UNUSABLE:
            pass  # as without a profile, which is said
    white = np.float32(65535)
    rgb = (white - cmyk16[..., :3]) * ((white - cmyk16[..., 3:]) / white)
    return np.rint(rgb).astype(np.uint16), _PLAIN_INKS


def to_profile(rgb: Levels, icc: bytes | None) -> Levels | None:
    """sRGB uint8 or uint16[H,W,3] under the RGB profile of the source; None where sRGB is to be written.

    That is: without a profile, with one that is sRGB in effect, with one that can only be read, and with one
    that is no RGB profile.
    """
    if icc is None:
        return None
    profile = examine(icc)
    if profile.mode != "RGB" or not profile.writable:
        return None
    if (light := light_of(icc, _levels(rgb))) is not None:
        from pipeline.color.into_light import from_srgb  # compiled: for who writes, not for who decodes

        return None if light.is_srgb else from_srgb(rgb, light)
    if rgb.dtype == np.uint16:
        return deep_pixels.rgb16_from_srgb(rgb, icc)
    return _apply(_transform(icc, "RGB", to_srgb=False), rgb)


@lru_cache(maxsize=32)
def _transform(icc: bytes, mode: str, *, to_srgb: bool) -> ImageCms.ImageCmsTransform:
    theirs = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    ours = ImageCms.ImageCmsProfile(io.BytesIO(srgb_profile()))
    pair = (theirs, ours) if to_srgb else (ours, theirs)
    return ImageCms.ImageCmsTransform(*pair, mode, "RGB", intent=_INTENT)


def _apply(transform: ImageCms.ImageCmsTransform, rgb8: U8) -> U8:
    return np.array(transform.apply(Image.fromarray(rgb8)))


def is_cmyk(icc: bytes) -> bool:
    """Whether a profile is for four inks."""
    return icc[16:20] == b"CMYK"
