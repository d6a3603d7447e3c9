"""The one writer of ledger rows: a shard's part, written once, and the same rows as bytes of Parquet."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import AlreadyExists
from pipeline.ledger.keys import part_key
from pipeline.ledger.schema import LedgerRow, ledger_table
from pipeline.storage import Store

PARQUET = "application/vnd.apache.parquet"


def commit_part(out: Store, job_digest: str, shard_id: str, rows: list[LedgerRow]) -> bool:
    """Write the shard's ledger part, the record that it is done.

    Returns:
        True if this attempt committed the shard, False if another attempt had done so before: then that one's
        rows stand, and this attempt's images are the same bytes at the same keys (the attempts of one run, or
        of runs that began on the same day, which images state).
    """
    try:
        out.put_if_absent(part_key(job_digest, shard_id), parquet_bytes(ledger_table(rows)), PARQUET)
    except AlreadyExists:
        return False
    return True


def parquet_bytes(table: pa.Table) -> bytes:
    """The table as a Parquet file whose pages have checksums."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    return buffer.getvalue()
