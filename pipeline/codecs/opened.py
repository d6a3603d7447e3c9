"""Open pictures with Pillow to show, measure or train on; accepts as complete what the job accepts."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

from pipeline.codecs.integrity import checkable_jpeg
from pipeline.errors import ImageFailure

_SOI, _EOI = b"\xff\xd8", b"\xff\xd9"


@contextmanager
def opened_picture(data: bytes) -> Iterator[Image.Image]:
    """Like `PIL.Image.open`, closed at the end. Accepts a JPEG that lacks only its end marker.

    Raises:
        OSError, ValueError, SyntaxError, Image.DecompressionBombError: as Pillow.
    """
    with Image.open(io.BytesIO(_with_end(data))) as image:
        yield image


def _with_end(data: bytes) -> bytes:
    if not data.startswith(_SOI) or data.endswith(_EOI):
        return data
    notes: list[str] = []
    try:
        checkable_jpeg(data, notes)
    except ImageFailure:
        return data  # Pillow raises, or shows what the job leaves alone
    return data.removesuffix(b"\xff") + _EOI if notes else data
