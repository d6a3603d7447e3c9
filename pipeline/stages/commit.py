"""Commit: the finished image at its deterministic key, then the shard's ledger part, last and only once."""

from __future__ import annotations

import io

import pyarrow.parquet as pq

from pipeline.errors import AlreadyExists
from pipeline.records import LedgerRow, ledger_table
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


def part_key(job_digest: str, shard_id: str) -> str:
    """Where the ledger part of a shard stands below OUT."""
    return f"ledger/{job_digest}/part-{shard_id}.parquet"


def commit_part(out: Store, job_digest: str, shard_id: str, rows: list[LedgerRow]) -> bool:
    """Write the shard's ledger part, the record that it is done.

    Returns:
        True if this attempt committed the shard, False if another attempt had done so before: then that one's
        rows stand, and this attempt's images are the same bytes at the same keys (the attempts of one run, or
        of runs that began on the same day, which images state).
    """
    buffer = io.BytesIO()
    pq.write_table(ledger_table(rows), buffer, compression="zstd")
    try:
        out.put_if_absent(part_key(job_digest, shard_id), buffer.getvalue(), "application/vnd.apache.parquet")
    except AlreadyExists:
        return False
    return True
