"""Ledger parts for tests."""

from __future__ import annotations

from datetime import UTC, datetime

from pipeline.ledger.schema import LedgerRow
from pipeline.ledger.write import commit_part
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
    assert commit_part(out, job_digest, shard_id, rows)
