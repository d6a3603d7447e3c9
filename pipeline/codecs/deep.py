"""Pixels of more than 8 bits, through libvips: 16-bit and floating-point TIFF, 16-bit PNG, their profiles.

Pillow reduces 16-bit colour to 8 bits in silence; libvips keeps it (MinIsWhite included) and reads tiles,
BigTIFF and every compression that libtiff knows. It is imported only where such a file comes: it costs 60 MB
of address space.
"""

from __future__ import annotations

import tempfile
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import FailureCode, ImageFailure

U8 = NDArray[np.uint8]
U16 = NDArray[np.uint16]

_FULL = 65535
_INTEGERS = {"uchar": 8, "ushort": 16, "uint": 32}
_INTENT = "relative"


def read_deep(data: bytes, format_: str, frame: int = 0) -> tuple[U16, U8 | None, list[str]]:
    """uint16[H,W] or uint16[H,W,3] of 16-bit or floating-point pixels as stored, not turned; alpha; notes.

    `frame`: the directory of a TIFF, from 0.

    Floating point is light between 0 and 1, or between its own least and largest value, which a note says.
    Alpha is uint8[H,W], None where all is opaque.

    Raises:
        ImageFailure: UNSUPPORTED for other channels or kinds of numbers, TRUNCATED or CORRUPT for damage.
    """
    import pyvips

    try:
        image = pyvips.Image.new_from_buffer(
            data, "", access="sequential", fail_on="error", **({"page": frame} if frame else {})
        )
        if image.bands > 4 or image.interpretation == "cmyk":
            raise _unsupported(f"a {format_} of {image.bands} channels of {_depth(image)} bits", "RGB")
        pixels, notes = _sixteen_bits(np.asarray(image), image.format, format_)
    except pyvips.Error as error:
        raise damage(str(error), format_) from None
    pixels = np.atleast_3d(pixels)
    alpha = None
    if pixels.shape[2] in (2, 4):
        alpha = np.ascontiguousarray(pixels[..., -1] >> 8).astype(np.uint8)
        alpha = None if alpha.min() == 255 else alpha
    colours = pixels[..., 0] if pixels.shape[2] < 3 else pixels[..., :3]
    return np.ascontiguousarray(colours), alpha, notes


def _depth(image: Any) -> int:
    return _INTEGERS.get(image.format, 32)


def _sixteen_bits(array: NDArray[Any], kind: str, format_: str) -> tuple[U16, list[str]]:
    if kind == "ushort":
        return array, []
    if kind == "uint":
        return (array >> 16).astype(np.uint16), ["32-bit samples were rounded to 16"]
    if kind not in ("float", "double"):
        raise _unsupported(f"a {format_} of {kind} samples", "unsigned 16-bit samples")
    if not np.isfinite(array).all():
        raise ImageFailure(FailureCode.CORRUPT, f"the {format_} holds samples that are no numbers")
    low, high = float(array.min()), float(array.max())
    notes = []
    if low < 0 or high > 1:
        notes.append(f"floating-point samples from {low:g} to {high:g} were taken as black to white")
        array = (array - low) / (high - low)
    return np.rint(array * _FULL).astype(np.uint16), notes


def damage(words: str, format_: str) -> ImageFailure:
    """TRUNCATED or CORRUPT for what libvips said of a file."""
    said = " ".join(words.split())[:200]
    short = any(
        sign in said.lower() for sign in ("truncat", "out of data", "eof", "end of", "short", "read error")
    )
    if short:
        return ImageFailure(FailureCode.TRUNCATED, f"the {format_} is cut short: {said}")
    return ImageFailure(FailureCode.CORRUPT, f"the {format_} cannot be decoded: {said}")


def gray16_to_srgb(gray16: U16, icc: bytes, mode: str) -> U16:
    """uint16[H,W] under a gray (`mode` "L") or RGB profile to sRGB gray levels: a table of 65,536."""
    return np.take(_gray_table(icc, mode), gray16)


@lru_cache(maxsize=4)
def _gray_table(icc: bytes, mode: str) -> U16:
    ramp = np.arange(_FULL + 1, dtype=np.uint16)[None, :, None]
    levels = ramp if mode == "L" else np.repeat(ramp, 3, axis=2)
    return np.ascontiguousarray(_through(levels, icc, None)[0, :, 1])


def rgb16_to_srgb(rgb16: U16, icc: bytes) -> U16:
    """uint16[H,W,3] under an RGB profile to sRGB, relative colorimetric."""
    return _through(rgb16, icc, None)


def rgb16_from_srgb(rgb16: U16, icc: bytes) -> U16:
    """sRGB uint16[H,W,3] to pixels under an RGB profile, relative colorimetric."""
    return _through(rgb16, None, icc)


def _through(levels: U16, source: bytes | None, target: bytes | None) -> U16:
    """Pixels from one profile to another; None stands for sRGB. One step of libvips is right to 2 of 65,535,
    by way of its Lab it is to 100."""
    import pyvips

    image = pyvips.Image.new_from_array(np.ascontiguousarray(levels))
    image = image.copy(interpretation="rgb16" if levels.shape[2] == 3 else "grey16")
    options: dict[str, Any] = {"intent": _INTENT, "depth": 16}
    with tempfile.NamedTemporaryFile(
        suffix=".icc"
    ) as file:  # libvips takes a target profile by its path only
        file.write(target or b"")
        file.flush()
        if source is not None:
            image.set_type(pyvips.GValue.blob_type, "icc-profile-data", source)
            done = image.icc_transform("srgb" if target is None else file.name, embedded=True, **options)
        else:
            done = image.icc_transform(file.name, input_profile="srgb", **options)
        return np.asarray(done, dtype=np.uint16).reshape(*levels.shape[:2], 3)


def png16_bytes(pixels: U16, level: int) -> bytes:
    """A PNG of uint16[H,W,3 or 4], which Pillow cannot write, deflated at `level`; no metadata."""
    import pyvips

    image = pyvips.Image.new_from_array(np.ascontiguousarray(pixels)).copy(interpretation="rgb16")
    return bytes(image.pngsave_buffer(compression=level, bitdepth=16, keep="none"))


def _unsupported(what: str, wanted: str) -> ImageFailure:
    return ImageFailure(FailureCode.UNSUPPORTED, f"{what} is not supported; convert it to {wanted}")
