"""Commit: write the finished image to its deterministic key; last, and only once, the shard's ledger part."""

from __future__ import annotations

from pipeline.storage import Store

CONTENT_TYPES = {
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "tiff": "image/tiff",
    "jp2": "image/jp2",
}


def put_image(out: Store, key: str, data: bytes, format: str) -> None:
    """Write one colour image; writing it again with the same bytes changes nothing."""
    out.put(key, data, CONTENT_TYPES[format])
