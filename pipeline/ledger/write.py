"""The only writer of ledger rows: it writes a shard's part once, and encodes rows as Parquet."""

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
    """Write the shard's ledger part, which records that the shard is done.

    Returns:
        True if this attempt committed the shard; False if another attempt had already done so. In that case
        the other attempt's rows count, and this attempt's images have the same bytes at the same keys (for
        attempts of one run, or of runs that began on the same day, because images state the date).
    """
    try:
        out.put_if_absent(part_key(job_digest, shard_id), parquet_bytes(ledger_table(rows)), PARQUET)
    except AlreadyExists:
        return False
    return True


def parquet_bytes(table: pa.Table) -> bytes:
    """The table as a Parquet file with page checksums."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    return buffer.getvalue()
