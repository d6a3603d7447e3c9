"""Make a second, smaller file of a coloured image: an access JPEG, or a tiled pyramid for IIIF image servers.

It has 8 bits, the colour space and the metadata of the first file. Transparent parts become white, and the
resolution is that of the smaller picture. libvips reads, reduces (Lanczos, after a box) and writes in strips,
so that memory does not grow with the picture.
"""

from __future__ import annotations

import errno
import io
import os
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from pipeline.codecs.encode import Levels, encode, stacked
from pipeline.codecs.metadata.block import SourceMeta, read_metadata, result_metadata
from pipeline.codecs.metadata.exif import exif_resolution
from pipeline.codecs.metadata.xmp import Provenance
from pipeline.codecs.tiff.tags import amend
from pipeline.config.output import DerivativeConfig, OutputConfig
from pipeline.errors import FailureCode, ImageFailure

if TYPE_CHECKING:
    import pyvips  # takes 60 MB of address space: import only when needed

_TILE = 256
_WHITE = 255
_PAGE_NUMBER = ExifTags.Base.PageNumber
_CLASSIC = 4_000_000_000  # bytes that surely fit between the offsets of a TIFF that is no BigTIFF
_UNWRITABLE = (OSError, ValueError, TypeError, OverflowError, RuntimeError, struct.error)


class DerivativeMetadata(NamedTuple):
    """The metadata of its source, the profile of its pixels (None: sRGB), and its provenance (None: the
    metadata come from a finished file and include it already)."""

    meta: SourceMeta
    icc: bytes | None
    provenance: Provenance | None


@dataclass(frozen=True)
class DerivativeReport:
    """Metadata that was changed or omitted; `resized`: whether it has fewer pixels than the first file."""

    changes: tuple[str, ...]
    resized: bool


def derive(
    rgb: Levels, alpha: Any, metadata: DerivativeMetadata, config: DerivativeConfig
) -> tuple[bytes, DerivativeReport]:
    """The derivative of coloured pixels, uint8 or uint16[H,W,3], with alpha uint8 or uint16[H,W], or None.

    Raises:
        ImageFailure: ENCODE_FAILED where it cannot be written.
    """
    import pyvips

    pixels = np.ascontiguousarray(stacked(rgb, alpha))
    deep = "rgb16" if pixels.dtype == np.uint16 else "srgb"
    try:
        image = pyvips.Image.new_from_array(pixels).copy(interpretation=deep)
        if config.format == "jpeg":
            return _jpeg(image, metadata, config)
        reduced = _reduced(image, config)
        file = io.BytesIO(reduced.tiffsave_buffer(**_pyramid(reduced, config)))
        report = _amend(file, metadata, image, reduced)
    except (pyvips.Error, *_UNWRITABLE) as error:
        raise _unwritten(error) from error
    return file.getvalue(), report


def derive_file(
    path: Path, target: Path, metadata: DerivativeMetadata, config: DerivativeConfig
) -> DerivativeReport:
    """As `derive`, from a finished TIFF to another file.

    Raises:
        ImageFailure: ENCODE_FAILED where it cannot be written. OSError: the disk is full.
    """
    import pyvips

    try:
        image = pyvips.Image.new_from_file(str(path), access="sequential", fail_on="error")
        if config.format == "jpeg":
            data, report = _jpeg(image, metadata, config)
            target.write_bytes(data)
            return report
        reduced = _reduced(image, config)
        reduced.tiffsave(str(target), **_pyramid(reduced, config))
        with target.open("r+b") as file:
            return _amend(file, metadata, image, reduced)
    except (pyvips.Error, *_UNWRITABLE) as error:
        if (full := os.strerror(errno.ENOSPC)) in str(error):
            raise OSError(errno.ENOSPC, full) from error
        raise _unwritten(error) from error


def metadata_of(path: Path) -> DerivativeMetadata:
    """The metadata of a finished TIFF or PNG of ours.

    Raises:
        ImageFailure: ENCODE_FAILED if it cannot be read, or does not state its provenance.
    """
    try:
        with Image.open(path) as image:
            icc, exif = image.info.get("icc_profile"), image.getexif()
            if getattr(image, "n_frames", 1) > 1 and _PAGE_NUMBER in exif:
                del exif[_PAGE_NUMBER]  # of the document that we made
            meta = read_metadata(image, str(image.format), image.size, icc)
            meta = replace(meta, dpi=exif_resolution(image) or meta.dpi, changes=())
    except (SyntaxError, *_UNWRITABLE) as error:
        raise _unwritten(error) from error
    if meta.xmp is None:
        raise _unwritten(ValueError("the finished file does not state its provenance"))
    return DerivativeMetadata(meta, icc, None)


def _reduced(image: pyvips.Image, config: DerivativeConfig) -> pyvips.Image:
    """8 bits, opaque, no larger than `config.longest`; without a resolution of its own."""
    image = image.copy(xres=1, yres=1)
    if image.format == "ushort":
        image = (image * (1 / 257)).rint().cast("uchar").copy(interpretation="srgb")
    if image.bands == 4:
        image = image.flatten(background=[_WHITE] * 3)
    longest = config.longest
    if longest is None or max(image.width, image.height) <= longest:
        return image
    return image.thumbnail_image(longest, height=longest, size="down", no_rotate=True)


def _jpeg(
    image: pyvips.Image, metadata: DerivativeMetadata, config: DerivativeConfig
) -> tuple[bytes, DerivativeReport]:
    reduced = _reduced(image, config)
    array: NDArray[np.uint8] = np.asarray(reduced).reshape(reduced.height, reduced.width, 3)
    changes = _alpha(image)
    output = OutputConfig(format="jpeg", quality=config.quality)
    source = _Opaque(_scaled(metadata.meta, reduced.width / image.width))
    data = encode(array, source, metadata.icc, output, metadata.provenance, changes)
    return data, DerivativeReport(tuple(changes), reduced.width < image.width)


def _pyramid(reduced: pyvips.Image, config: DerivativeConfig) -> dict[str, Any]:
    """Options for libvips; the layers below are half as large each, as further directories of the file."""
    options: dict[str, Any] = {"tile": True, "pyramid": True, "tile_width": _TILE, "tile_height": _TILE}
    options |= {"keep": "none", "resunit": "cm", "bigtiff": reduced.width * reduced.height * 4 > _CLASSIC}
    if config.compression == "deflate":
        return options | {"compression": "deflate", "predictor": "horizontal"}
    return options | {"compression": "jpeg", "Q": config.quality}


def _amend(
    file: Any, metadata: DerivativeMetadata, image: pyvips.Image, reduced: pyvips.Image
) -> DerivativeReport:
    meta = _scaled(metadata.meta, reduced.width / image.width)
    result = result_metadata(meta, metadata.icc, "tiff", metadata.provenance)
    amend(file, result)
    return DerivativeReport((*_alpha(image), *result.changes), reduced.width < image.width)


def _alpha(image: pyvips.Image) -> list[str]:
    return ["alpha: laid on white"] if image.bands == 4 else []


def _scaled(meta: SourceMeta, scale: float) -> SourceMeta:
    """The metadata with fewer pixels per inch, for a smaller picture of the same print; without where that is
    less than one."""
    if meta.dpi is None:
        return meta
    x, y = (value * scale for value in meta.dpi)
    return replace(meta, dpi=(x, y) if min(x, y) >= 1 else None)


def _unwritten(error: Exception) -> ImageFailure:
    words = " ".join(str(error).split())[:300] or type(error).__name__
    return ImageFailure(FailureCode.ENCODE_FAILED, f"the derivative cannot be written: {words}")


@dataclass(frozen=True)
class _Opaque:
    """A source without transparency, as `encode` wants it."""

    meta: SourceMeta
    alpha: None = None
