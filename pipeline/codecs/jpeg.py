"""Pixels to a JPEG: Pillow writes the header with its metadata, imagecodecs the image data.

Both call libjpeg-turbo, and the file is the one that Pillow alone writes, byte for byte. imagecodecs takes
the pixels where they lie; Pillow copies them first, and converts them on the way, a third of the time.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

U8 = NDArray[np.uint8]
Bytes = bytes | bytearray

_SUBSAMPLINGS = {"4:4:4": "444", "4:2:2": "422", "4:2:0": "420"}
_DQT, _SOF0, _SOS = 0xDB, 0xC0, 0xDA
_SIZE = slice(5, 9)  # of a SOF segment: height and width (ITU-T T.81, B.2.2)


def jpeg_bytes(rgb8: U8, *, quality: int, subsampling: str, **options: Any) -> bytes:
    """The baseline JPEG of `rgb8` uint8[H,W,3], of at most 65,500 pixels a side.

    Args:
        quality: 1 to 100, of libjpeg's tables.
        subsampling: of the chroma: `4:4:4`, `4:2:2` or `4:2:0`.
        options: the metadata, as Pillow's writer of JPEGs names it.

    Raises:
        OSError, ValueError: as Pillow's writer.
        RuntimeError: libjpeg-turbo cannot encode the pixels.
    """
    from imagecodecs import jpeg8_encode

    header = _by_pillow(np.zeros((1, 1, 3), np.uint8), quality, subsampling, options)
    file = jpeg8_encode(
        np.ascontiguousarray(rgb8),
        quality,
        colorspace="RGB",
        outcolorspace="YCbCr",
        subsampling=_SUBSAMPLINGS[subsampling],
    )
    tables, scan = _tables(header), _tables(file)
    if header[tables] != _sized(file[scan], header[tables]):  # two versions of the library that differ
        return _by_pillow(rgb8, quality, subsampling, options)
    return b"".join([header[: tables.start], memoryview(file)[scan.start :]])


def _by_pillow(rgb8: U8, quality: int, subsampling: str, options: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(rgb8).save(file, "JPEG", quality=quality, subsampling=subsampling, **options)
    return file.getvalue()


def _segments(jpeg: Bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, begin and end of each segment up to the first scan's."""
    begin, marker = 2, 0
    while marker != _SOS:
        marker = jpeg[begin + 1]
        end = begin + 2 + int.from_bytes(jpeg[begin + 2 : begin + 4], "big")
        yield marker, begin, end
        begin = end


def _tables(jpeg: Bytes) -> slice:
    """From the first quantisation table, before which metadata ends, to the image data."""
    segments = list(_segments(jpeg))
    return slice(next(begin for marker, begin, _ in segments if marker == _DQT), segments[-1][2])


def _sized(tables: Bytes, like: Bytes) -> Bytes:
    """The tables with the picture's size from others."""
    begins = [
        next(begin for marker, begin, _ in _segments(b"\xff\xd8" + each) if marker == _SOF0) - 2
        for each in (tables, like)
    ]
    place = slice(begins[0] + _SIZE.start, begins[0] + _SIZE.stop)
    size = like[begins[1] + _SIZE.start : begins[1] + _SIZE.stop]
    return tables[: place.start] + size + tables[place.stop :]
