"""The pixels of a PNG (ISO/IEC 15948), quickly: one filter for all rows, and libdeflate.

Other writers try five filters for each row, and deflate with zlib. This writes coloured photographs in files
of about the same size in less time (docs/performance.md, "Before and after").
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
U8 = NDArray[np.uint8]
Levels = NDArray[Any]  # uint8 or uint16

_COLOUR_TYPES = {3: 2, 4: 6}  # by channels: truecolour, and with alpha
_AVERAGE = 3  # the filter: a sample less the mean of its left and its upper neighbour, rounded down
# libdeflate's levels by bytes of a sample. Of 8 bits, level 1 is faster, and its files are larger; of 16,
# whose low byte is noise, they have the same size.
_LEVELS = {1: 2, 2: 1}
_BAND = 2**18  # bytes that are filtered at a time: they fit into a core's cache
_CHUNK = 2**20  # bytes of an IDAT chunk; a chunk holds 2 GiB at most


def png_header(pixels: Levels) -> bytes:
    """The chunk IHDR of uint8 or uint16[H,W,3 or 4]."""
    height, width, channels = pixels.shape
    fields = (width, height, 8 * pixels.itemsize, _COLOUR_TYPES[channels], 0, 0, 0)
    return _chunk(b"IHDR", struct.pack(">IIBBBBB", *fields))


def png_data(pixels: Levels) -> bytes:
    """The chunks IDAT and IEND of uint8 or uint16[H,W,3 or 4]."""
    import imagecodecs  # late: few formats need it

    rows: Any = _filtered(pixels)  # any buffer will do, which imagecodecs' types do not say
    packed = memoryview(imagecodecs.deflate_encode(rows, _LEVELS[pixels.itemsize]))
    starts = range(0, len(packed), _CHUNK)
    return b"".join([*(_chunk(b"IDAT", packed[at : at + _CHUNK]) for at in starts), _chunk(b"IEND", b"")])


def _filtered(pixels: Levels) -> U8:
    """uint8[H, 1 + bytes of a row]: each row begins with the number of its filter."""
    height, width, channels = pixels.shape
    step = channels * pixels.itemsize
    rows = np.empty((height, 1 + width * step), np.uint8)
    rows[:, 0] = _AVERAGE
    upper = np.zeros((1, width * step), np.uint8)
    in_band = max(1, _BAND // (width * step))
    for start in range(0, height, in_band):
        band = _big_endian(pixels[start : start + in_band])
        up = np.concatenate([upper, band[:-1]])
        left = np.zeros_like(band)
        left[:, step:] = band[:, :-step]
        mean = (left & up) + ((left ^ up) >> 1)  # without the ninth bit of their sum
        np.subtract(band, mean, out=rows[start : start + in_band, 1:])
        upper = band[-1:]
    return rows


def _big_endian(pixels: Levels) -> U8:
    """uint8[H, bytes of a row]."""
    ordered = np.ascontiguousarray(pixels.astype(pixels.dtype.newbyteorder(">"), copy=False))
    return ordered.view(np.uint8).reshape(len(pixels), -1)


def _chunk(name: bytes, content: bytes | memoryview) -> bytes:
    check = zlib.crc32(content, zlib.crc32(name))
    return b"".join([struct.pack(">I", len(content)), name, content, struct.pack(">I", check)])
