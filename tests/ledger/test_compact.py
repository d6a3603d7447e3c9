"""One row per source object, however often it was tried."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config.storage import StorageConfig
from pipeline.ledger import compact
from pipeline.ledger.newest import newest_in_job
from pipeline.ledger.read import list_parts, read_part
from pipeline.ledger.schema import LEDGER_SCHEMA, LedgerRow
from pipeline.ledger.write import commit_part
from pipeline.records import Status
from pipeline.storage import open_store

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def row(key: str, status: Status, attempts: int = 1, minutes: int = 0, etag: str = "e") -> LedgerRow:
    at = NOON + timedelta(minutes=minutes)
    return LedgerRow(key, etag, 1, status, attempts, "iizuka", "w", "d", "r", at)


def compacted(tmp_path: Path) -> list[tuple[str, str, str, int]]:
    out = open_store(str(tmp_path), StorageConfig())
    key = compact.compact_ledger(out, "d", "run")
    assert key == "runs/run/ledger.parquet"
    table = pq.read_table(io.BytesIO(out.get(key).data))
    assert table.schema == LEDGER_SCHEMA
    return [(r["key"], r["etag"], r["status"], r["attempts"]) for r in table.to_pylist()]


def test_the_row_with_most_attempts_then_the_latest_counts(tmp_path: Path) -> None:
    out = open_store(str(tmp_path), StorageConfig())
    commit_part(out, "d", "2", [row("b", Status.FAILED), row("c", Status.COLORIZED)])
    commit_part(out, "d", "1", [row("a", Status.SKIPPED_COLOR), row("b", Status.COLORIZED, attempts=2)])
    commit_part(out, "d", "3", [row("a", Status.COLORIZED, minutes=5), row("c", Status.FAILED, etag="older")])
    commit_part(out, "other", "4", [row("z", Status.COLORIZED)])
    assert compacted(tmp_path) == [
        ("a", "e", "colorized", 1),
        ("b", "e", "colorized", 2),
        ("c", "e", "colorized", 1),
        ("c", "older", "failed", 1),
    ]


def test_a_part_is_committed_once(tmp_path: Path) -> None:
    out = open_store(str(tmp_path), StorageConfig())
    assert commit_part(out, "d", "1", [row("a", Status.COLORIZED)])
    assert not commit_part(out, "d", "1", [row("a", Status.FAILED)])
    assert compacted(tmp_path) == [("a", "e", "colorized", 1)]


def test_too_many_rows_stay_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = open_store(str(tmp_path), StorageConfig())
    commit_part(out, "d", "1", [row("a", Status.COLORIZED), row("b", Status.COLORIZED)])
    monkeypatch.setattr(compact, "MOST_ROWS", 1)
    assert compact.compact_ledger(out, "d", "run") is None
    assert not (tmp_path / "runs").exists()


def test_rows_that_pass_through_a_file_are_all_there_in_key_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches and row groups so small that every part and every group crosses their bounds."""
    for name, size in (("_BATCH", 2), ("_ROW_GROUP", 3), ("_STEP", 1)):
        monkeypatch.setattr(compact, name, size)
    out = open_store(str(tmp_path), StorageConfig())
    keys = [f"{i * 7 % 23:02d}" for i in range(23)]
    for start in range(0, 23, 5):
        part = [row(key, Status.COLORIZED, minutes=start) for key in keys[start : start + 5]]
        commit_part(out, "d", f"{start}", part)
    later = [row("03", Status.FAILED, attempts=2), row("11", Status.FAILED, minutes=99)]
    commit_part(out, "d", "later", later)
    tables = [read_part(out, key) for key in list_parts(out, "d")]
    wanted = newest_in_job(pa.concat_tables(tables), ["key", "etag"])
    assert [key for key, *_ in compacted(tmp_path)] == sorted(keys)
    table = pq.read_table(io.BytesIO(out.get("runs/run/ledger.parquet").data))
    assert table.to_pylist() == wanted.to_pylist()
    assert (wanted.num_rows, sum(table.num_rows for table in tables)) == (23, 25)


def test_it_sorts_no_more_rows_at_a_time_than_there_are_in_some_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver's memory: with ten times the rows it must not sort ten times as many together."""
    for name, size in (("_BATCH", 10), ("_ROW_GROUP", 20), ("_STEP", 5)):
        monkeypatch.setattr(compact, name, size)
    out = open_store(str(tmp_path), StorageConfig())
    for start in range(0, 1000, 50):
        keys = (f"{number:04d}" for number in range(start, start + 50))
        commit_part(out, "d", f"{start}", [row(key, Status.COLORIZED) for key in keys])
    together: list[int] = []

    def newest(table: pa.Table, identity: Sequence[str]) -> pa.Table:
        together.append(table.num_rows)
        return newest_in_job(table, identity)

    monkeypatch.setattr(compact, "newest_in_job", newest)
    assert len(compacted(tmp_path)) == sum(together) == 1000
    assert max(together) <= 40
