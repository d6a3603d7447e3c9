"""Read pixels of more than 8 bits with libvips: samples and profiles.

Pillow silently reduces 16-bit colour to 8 bits; libvips keeps it (MinIsWhite included) and reads tiles,
BigTIFF and every compression that libtiff supports. It is imported only for such files, because it takes 60
MB of address space.
"""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import FailureCode, ImageFailure

U8 = NDArray[np.uint8]
U16 = NDArray[np.uint16]

_FULL = 65535
_INTERPRETATIONS = {1: "grey16", 3: "rgb16", 4: "cmyk"}
_INTENT = "relative"


def samples(data: bytes, format_: str, **options: Any) -> NDArray[Any]:
    """[H,W,bands] with the file's values, not rotated. Raises ImageFailure TRUNCATED or CORRUPT."""
    import pyvips

    try:
        image = pyvips.Image.new_from_buffer(data, "", access="sequential", fail_on="error", **options)
        array: NDArray[Any] = np.asarray(image)
        shape = (image.height, image.width, image.bands)
    except pyvips.Error as error:
        raise damage(str(error), format_) from None
    return array.reshape(shape)  # which libvips leaves out where a side is 1


def read_deep(data: bytes, format_: str, bits: int = 16) -> tuple[U16, U16 | None]:
    """uint16[H,W] or [H,W,3] of a PNG of 16 bits or an AVIF of 10 or 12; alpha uint16[H,W], None for opaque.

    Raises:
        ImageFailure: TRUNCATED or CORRUPT for damage, UNSUPPORTED where the depth was not kept.
    """
    return split(widened(samples(data, format_), bits))


def widened(array: NDArray[Any], bits: int) -> U16:
    """Samples of 9 to 16 bits, which decoders shift to the top of uint16, so that white is 65535 again."""
    if array.dtype != np.uint16:
        raise _unsupported(f"an image of {bits} bits per sample", "a TIFF of 16")
    if bits == 16:
        return array
    levels = np.rint((array >> (16 - bits)) * np.float32(_FULL / (2**bits - 1)))
    return np.asarray(levels, dtype=np.uint16)


def split(array: U16) -> tuple[U16, U16 | None]:
    """[H,W,bands] as gray or colours, and alpha."""
    alpha = None
    if array.shape[2] in (2, 4):
        alpha = np.ascontiguousarray(array[..., -1])
        alpha = None if alpha.min() == _FULL else alpha
    colours = array[..., 0] if array.shape[2] < 3 else array[..., :3]
    return np.ascontiguousarray(colours), alpha


def damage(words: str, format_: str) -> ImageFailure:
    """UNSUPPORTED, TRUNCATED or CORRUPT, depending on libvips's error message."""
    said = " ".join(words.split())[:200]
    if "not supported" in said:
        return _unsupported(f"this kind of {format_} ({said})", "one in strips with interleaved channels")
    short = any(
        sign in said.lower() for sign in ("truncat", "out of data", "eof", "end of", "short", "read error")
    )
    if short:
        return ImageFailure(FailureCode.TRUNCATED, f"the {format_} is cut short: {said}")
    return ImageFailure(FailureCode.CORRUPT, f"the {format_} cannot be decoded: {said}")


def rgb16_to_srgb(rgb16: U16, icc: bytes) -> U16:
    """uint16[H,W,4] under a CMYK profile, or [H,W,3] under an RGB one, to sRGB, relative colorimetric."""
    return _through(rgb16, icc, None)


def rgb16_from_srgb(rgb16: U16, icc: bytes) -> U16:
    """sRGB uint16[H,W,3] to pixels under an RGB profile, relative colorimetric."""
    return _through(rgb16, None, icc)


def _through(levels: U16, source: bytes | None, target: bytes | None) -> U16:
    """Pixels from one profile to another; None stands for sRGB. One step of libvips is exact to 2 of 65,535;
    through its Lab it is exact only to 100."""
    import pyvips

    image = pyvips.Image.new_from_array(np.ascontiguousarray(levels))
    image = image.copy(interpretation=_INTERPRETATIONS[levels.shape[2]])
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


def _unsupported(what: str, wanted: str) -> ImageFailure:
    return ImageFailure(FailureCode.UNSUPPORTED, f"{what} is not supported; convert it to {wanted}")
