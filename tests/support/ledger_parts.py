"""Ledger parts for tests."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pyarrow.parquet as pq

from pipeline.ledger.schema import LedgerRow, ledger_table
from pipeline.records import Status
from pipeline.storage import Store


def row(
    key: str,
    status: Status = Status.COLORIZED,
    attempts: int = 1,
    finished_at: datetime = datetime(2026, 1, 1, tzinfo=UTC),
    etag: str = "e",
    guide: str | None = None,
) -> LedgerRow:
    row = LedgerRow(key, etag, 1, status, attempts, "iizuka", "weights", "digest", "run", finished_at)
    row.guide_digest = guide
    return row


def put_part(out: Store, job_digest: str, shard_id: str, rows: list[LedgerRow]) -> None:
    buffer = io.BytesIO()
    pq.write_table(ledger_table(rows), buffer)
    out.put_if_absent(f"ledger/{job_digest}/part-{shard_id}.parquet", buffer.getvalue())
