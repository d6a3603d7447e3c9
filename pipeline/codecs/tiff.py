"""A TIFF 6.0 writer for finished pixels: deflate, horizontal differences, with EXIF and GPS directories.

Pillow's own compressed writer goes through libtiff, which cannot write those directories into a stream.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, TiffImagePlugin

U8 = NDArray[np.uint8]

_LEVEL = 3
_STRIP_BYTES = 256 * 1024  # before compression; enough to compress well, small enough to read in part
_HEADER = b"II*\x00" + struct.pack("<L", 8)
_LARGEST = 2**32 - 1  # offsets are 32 bits wide
_DEFLATE, _RGB, _CHUNKY, _DIFFERENCES, _UNASSOCIATED_ALPHA, _INCH = 8, 2, 1, 2, 2, 2


def tiff_bytes(
    pixels: U8, *, icc: bytes, xmp: bytes, exif: bytes | None, dpi: tuple[float, float] | None
) -> bytes:
    """The file for uint8[H,W,3] (RGB) or uint8[H,W,4] (with alpha). Raises ValueError over 4 GiB."""
    height, width, channels = pixels.shape
    rows = max(1, _STRIP_BYTES // (width * channels))
    strips = [_strip(pixels[top : top + rows]) for top in range(0, height, rows)]
    sizes = [len(strip) for strip in strips]
    tags: dict[int, Any] = {
        256: width,
        257: height,
        258: (8,) * channels,
        259: _DEFLATE,
        262: _RGB,
        # relative to the end of the directory: Pillow adds that when it writes it
        273: tuple(sum(sizes[:index]) for index in range(len(sizes))),
        277: channels,
        278: rows,
        279: tuple(sizes),
        284: _CHUNKY,
        317: _DIFFERENCES,
        700: xmp,
        34675: icc,
    }
    if channels == 4:
        tags[338] = _UNASSOCIATED_ALPHA
    if dpi is not None:
        tags |= {282: dpi[0], 283: dpi[1], 296: _INCH}
    directory = TiffImagePlugin.ImageFileDirectory_v2(ifh=_HEADER)
    for tag, value in (_exif_tags(exif) | tags).items():
        directory[tag] = value
    data = _HEADER + directory.tobytes(8) + b"".join(strips)
    if len(data) > _LARGEST:
        raise ValueError("the file would be larger than 4 GiB")
    return data


def _strip(rows: U8) -> bytes:
    differences = rows.copy()
    differences[:, 1:] -= rows[:, :-1]
    return zlib.compress(differences.tobytes(), _LEVEL)


def _exif_tags(exif: bytes | None) -> dict[int, Any]:
    """Tags of IFD 0 with the EXIF and GPS directories as dictionaries, as Pillow writes them."""
    if exif is None:
        return {}
    source = Image.Exif()
    source.load(exif)
    tags: dict[int, Any] = dict(source)
    for directory in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        tags.pop(directory, None)
        if entries := dict(source.get_ifd(directory)):
            tags[int(directory)] = entries
    return tags
