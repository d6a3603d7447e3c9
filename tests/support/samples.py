"""Generated images, in every format and mode that the codecs read."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.codecs.in_memory import Decoded, DecodeLimits, Skip, decode

LIMITS = DecodeLimits(pixels=50_000_000, memory=2 * 2**30)


def photo(height: int = 60, width: int = 90, seed: int = 3) -> NDArray[np.uint8]:
    """A gray picture, uint8[H,W], with edges, ramps and grain; all sides differ, nothing is symmetric."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    picture = 40 + 120 * x / width + 50 * np.sin(y / 7) + 25 * (x + 2 * y > width)
    grain = np.random.default_rng(seed).normal(0, 6, picture.shape)
    return np.clip(picture + grain, 0, 255).astype(np.uint8)


def encoded(image: Image.Image | NDArray[np.uint8], format: str, **options: Any) -> bytes:
    """The image in one of Pillow's file formats."""
    buffer = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(buffer, format, **options)
    return buffer.getvalue()


def opened(
    data: bytes, key: str = "photo", content_type: str | None = None, **options: Any
) -> Decoded | Skip:
    """`decode` with the defaults of a job, in this process."""
    settings = {"model_side": 128, "skip_color": True, "color_threshold": 3.0, **options}
    return decode(data, key, content_type, settings.pop("limits", LIMITS), **settings)


def decoded(data: bytes, **options: Any) -> Decoded:
    """Like `opened`, for data that must be a photograph."""
    result = opened(data, **options)
    assert isinstance(result, Decoded), result
    return result


def toned(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture in sepia, uint8[H,W,3]."""
    tone = np.array([1.0, 0.86, 0.66])
    return np.clip(gray[..., None] * tone + np.array([12, 6, 0]), 0, 255).astype(np.uint8)


def colourful(height: int = 60, width: int = 90) -> NDArray[np.uint8]:
    """A picture with real colour, uint8[H,W,3]: hue does not depend on lightness or position."""
    blocks = np.random.default_rng(5).integers(0, 255, (6, 9, 3), np.uint8)
    return np.asarray(Image.fromarray(blocks).resize((width, height), Image.Resampling.NEAREST))


def png(width: int, height: int, rows: bytes, depth: int = 8, color_type: int = 0) -> bytes:
    """A PNG with valid checksums around any image data; `rows` as filtered scanlines, not yet compressed."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body
