"""Small parts become large ones; whenever the process dies, no row is missing or counted twice."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from pipeline.errors import AccessDenied, DamagedLedgerPart
from pipeline.ledger import compact, merge
from pipeline.ledger.compact import compact_ledger
from pipeline.ledger.merge import GRACE, merge_parts
from pipeline.ledger.newest import newest_in_job
from pipeline.ledger.read import list_parts, read_part, stream_parts
from pipeline.plan.done import done_images
from pipeline.plan.ledger_rows import read_ledger
from pipeline.records import Status
from pipeline.storage.local import LocalStore
from pipeline.verify.expected import read_expected
from tests.support.ledger_parts import put_part, row

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = NOON + GRACE
SHARDS = {f"{number:02d}": [f"{number:02d}-{i}" for i in range(2)] for number in range(7)}


class Killed(BaseException):
    """The process is gone."""


class Store(LocalStore):
    """A folder whose process dies before its `dies_at`th change, and which may allow no removal."""

    changes, dies_at, locked = 0, 10**9, False

    def _change(self) -> None:
        self.changes += 1
        if self.changes >= self.dies_at:
            raise Killed

    def put(self, key, data, content_type=None):
        self._change()
        super().put(key, data, content_type)

    def delete(self, key):
        if self.locked:
            raise AccessDenied(f"{key} is locked")
        self._change()
        super().delete(key)


@pytest.fixture
def out(tmp_path, monkeypatch) -> Store:
    monkeypatch.setattr(merge, "MOST_PARTS", 5)
    monkeypatch.setattr(merge, "MOST_ROWS", 8)
    store = Store(tmp_path)
    for shard, keys in SHARDS.items():
        put_part(store, "d", shard, [coloured(key) for key in keys])
    put_part(store, "other", "1", [coloured("z")])
    return store


def coloured(key: str, attempts: int = 1, at: datetime = NOON):
    one = row(key, attempts=attempts, finished_at=at)
    one.output_key, one.output_sha256 = f"images/{key}.jpg", f"{attempts:064x}"
    return one


def names(out: Store) -> list[str]:
    return [key.rpartition("/")[2] for key in list_parts(out, "d")]


def rows(out: Store) -> dict[str, tuple[int, datetime]]:
    """What counts, by key."""
    tables = list(stream_parts(out, list_parts(out, "d")))
    newest = newest_in_job(pa.concat_tables(tables), ["key", "etag"]).to_pylist()
    return {one["key"]: (one["attempts"], one["finished_at"]) for one in newest}


EVERY_ROW = {key: (1, NOON) for keys in SHARDS.values() for key in keys}


def test_parts_are_written_together_then_removed_by_a_later_run(out):
    merge_parts(out, "d", NOON)
    merged = [name for name in names(out) if "merged" in name]
    assert (len(names(out)), len(merged)) == (9, 2)
    assert rows(out) == EVERY_ROW
    merge_parts(out, "d", LATER - timedelta(seconds=1))
    assert len(names(out)) == 9
    merge_parts(out, "d", LATER)
    assert names(out) == merged
    assert rows(out) == EVERY_ROW
    assert len(list(list_parts(out, "other"))) == 1
    merge_parts(out, "d", LATER + GRACE)
    assert names(out) == merged


def test_few_parts_stay(out, monkeypatch):
    monkeypatch.setattr(merge, "MOST_PARTS", 8)
    merge_parts(out, "d", NOON)
    assert names(out) == [f"part-{shard}.parquet" for shard in SHARDS]


@pytest.mark.slow
@pytest.mark.parametrize("change", range(1, 11))
def test_a_process_that_dies_at_any_change_loses_no_row(out, change):
    """Two changes write the merged parts, seven remove what is in them."""
    out.dies_at = change
    died = 0
    for now in (NOON, LATER, LATER + GRACE):
        try:
            merge_parts(out, "d", now)
        except Killed:
            died += 1
            out.dies_at = 10**9
        assert rows(out) == EVERY_ROW
        done = done_images(read_ledger(out, "in").of("d"), retry_failed=False)
        assert len(done.identities.hashes) == 14
    assert died == (change <= 9)
    merge_parts(out, "d", LATER + 2 * GRACE)
    assert rows(out) == EVERY_ROW
    small = [name for name in names(out) if "merged" not in name]
    assert len(small) == (3 if change == 2 else 0)  # three are too few to be merged by themselves


def test_a_slow_worker_that_commits_its_shard_again_changes_nothing_but_the_time(out):
    merge_parts(out, "d", NOON)
    merge_parts(out, "d", LATER)
    assert "part-03.parquet" not in names(out)
    after = LATER + timedelta(hours=1)
    put_part(out, "d", "03", [coloured(key, at=after) for key in SHARDS["03"]])
    assert rows(out) == EVERY_ROW | dict.fromkeys(SHARDS["03"], (1, after))
    assert len(done_images(read_ledger(out, "in").of("d"), retry_failed=False).identities.hashes) == 14
    images = sorted({*(f"images/{key}.jpg" for key in EVERY_ROW), "images/z.jpg"})
    assert read_expected(out).outputs["key"].to_pylist() == images
    merge_parts(out, "d", after + GRACE)  # the merged part names a part of this key, with other bytes
    assert "part-03.parquet" in names(out)


def test_where_nothing_may_be_removed_all_stays_and_nothing_is_merged_twice(out):
    out.locked = True
    for hours in range(4):
        merge_parts(out, "d", NOON + hours * GRACE)
        assert len(names(out)) == 9
        assert rows(out) == EVERY_ROW


def test_a_merged_part_that_is_damaged_costs_no_part(out, monkeypatch):
    monkeypatch.setattr("pipeline.ledger.read._PAUSES", (0.0,))
    merge_parts(out, "d", NOON)
    (first, _) = [key for key in list_parts(out, "d") if "merged" in key]
    data = bytearray(out.get(first).data)
    data[200] ^= 1
    LocalStore.put(out, first, bytes(data))
    with pytest.raises(DamagedLedgerPart, match="merged"):
        merge_parts(out, "d", LATER)
    assert len(names(out)) == 9


def rewritten(data: bytes, parts: bytes | None, rows: int) -> bytes:
    """The merged part as another program would write it."""
    metadata = None if parts is None else {b"fiat-color.parts": parts}
    table = pq.read_table(io.BytesIO(data)).slice(0, rows).replace_schema_metadata(metadata)
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("rows_left", [0, 7, 8])
def test_a_merged_part_that_is_not_as_it_was_written_costs_no_part(out, rows_left):
    merge_parts(out, "d", NOON)
    (first, _) = [key for key in list_parts(out, "d") if "merged" in key]
    data = out.get(first).data
    parts = pq.read_metadata(io.BytesIO(data)).metadata[b"fiat-color.parts"]
    LocalStore.put(out, first, rewritten(data, parts, rows_left))
    with pytest.raises(DamagedLedgerPart, match="has changed since it was written"):
        merge_parts(out, "d", LATER)
    assert len(names(out)) == 9
    assert rows(out) == EVERY_ROW


@pytest.mark.parametrize("parts", [None, b"{", b"null", b"5"])
def test_a_merged_part_that_does_not_say_what_it_holds_costs_no_part(out, parts):
    merge_parts(out, "d", NOON)
    for key in [key for key in list_parts(out, "d") if "merged" in key]:
        LocalStore.put(out, key, rewritten(out.get(key).data, parts, 8))
    merge_parts(out, "d", LATER)
    merge_parts(out, "d", LATER + GRACE)
    assert rows(out) == EVERY_ROW


@pytest.mark.parametrize("cut", [0, 3, 100, -5])
def test_a_merged_part_that_was_cut_is_damaged(out, monkeypatch, cut):
    monkeypatch.setattr("pipeline.ledger.read._PAUSES", (0.0,))
    merge_parts(out, "d", NOON)
    (first, _) = [key for key in list_parts(out, "d") if "merged" in key]
    LocalStore.put(out, first, out.get(first).data[:cut])
    with pytest.raises(DamagedLedgerPart, match="merged"):
        merge_parts(out, "d", LATER)
    assert len(names(out)) == 9


def test_the_metadata_is_found_however_much_there_is(out, monkeypatch):
    monkeypatch.setattr(merge, "_TAIL", 16)
    merge_parts(out, "d", NOON)
    merge_parts(out, "d", LATER)
    assert all("merged" in name for name in names(out))


def test_what_failed_and_was_tried_again_stays_as_it_was(out):
    put_part(out, "d", "99", [row("00-0", Status.FAILED, attempts=2, finished_at=NOON)])
    merge_parts(out, "d", NOON)
    merge_parts(out, "d", LATER)
    assert rows(out) == EVERY_ROW | {"00-0": (2, NOON)}


def test_rows_that_are_there_twice_count_once_for_the_limit_of_the_file_for_people(out, monkeypatch):
    merge_parts(out, "d", NOON)
    monkeypatch.setattr(compact, "MOST_ROWS", 14)
    assert compact_ledger(out, "d", "run") == "runs/run/ledger.parquet"
    monkeypatch.setattr(compact, "MOST_ROWS", 13)
    assert compact_ledger(out, "d", "run") is None


def test_a_merged_part_says_what_it_holds(out):
    merge_parts(out, "d", NOON)
    (first, second) = [key for key in list_parts(out, "d") if "merged" in key]
    held = [read_part(out, key, ["key"]) for key in (first, second)]
    assert [table.num_rows for table in held] == [8, 6] or [table.num_rows for table in held] == [6, 8]
    assert pc.min(held[0]["key"]).as_py() != pc.min(held[1]["key"]).as_py()
    metadata = pq.read_metadata(io.BytesIO(out.get(first).data)).metadata
    assert len(json.loads(metadata[b"fiat-color.parts"])) in (3, 4)
