"""The commit of a shard: its ledger part, written once."""

from __future__ import annotations

import io

import pyarrow.parquet as pq

from pipeline.errors import AlreadyExists
from pipeline.ledger.schema import LedgerRow, ledger_table
from pipeline.storage import Store


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
