"""The one ledger reader: what it reads, what it calls damaged, and that every caller says so in one line."""

from __future__ import annotations

import io
import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.cli.command import exit_status
from pipeline.config.job import JobConfig
from pipeline.errors import DamagedLedgerPart, ObjectMissing
from pipeline.ledger import read
from pipeline.ledger.compact import compact_ledger
from pipeline.ledger.keys import part_key
from pipeline.ledger.read import list_parts, map_parts, read_part, stream_parts
from pipeline.ledger.schema import LEDGER_SCHEMA, LedgerRow, ledger_table
from pipeline.ledger.stream import newest_images, newest_objects, open_ledger
from pipeline.ledger.write import parquet_bytes
from pipeline.plan.done import done_images
from pipeline.plan.ledger_rows import read_ledger
from pipeline.plan.other_models import read_other_models
from pipeline.records import Status
from pipeline.storage import Store, open_store
from pipeline.verify.expected import read_expected
from tests.support.fault_proxy import Fault, fault_proxy
from tests.support.ledger_parts import put_part, row

pytestmark = pytest.mark.usefixtures("short_pauses")

ROWS = ledger_table([row("a"), row("b", Status.FAILED)])
PART = part_key("digest", "1")


@pytest.fixture
def out(tmp_path: Path, no_storage) -> Store:
    return open_store(str(tmp_path), no_storage)


def with_column(name: str, values: pa.Array) -> bytes:
    return parquet_bytes(ROWS.set_column(ROWS.column_names.index(name), pa.field(name, values.type), values))


def damaged_page() -> bytes:
    """A sound footer, and no page that decodes: Arrow raises OSError for it, not an Arrow error."""
    data = bytearray(parquet_bytes(ROWS))
    footer = int.from_bytes(data[-8:-4], "little") + 8
    data[4:-footer] = b"x" * (len(data) - footer - 4)
    return bytes(data)


DAMAGED = {
    "empty": b"",
    "cut off": parquet_bytes(ROWS)[:-20],
    "not Parquet": b"PAR1 not parquet",
    "a page that does not decode": damaged_page(),
    "another table": parquet_bytes(pa.table({"x": [1, 2]})),
    "a column of another type": with_column("status", pa.array([[1], [2]])),
    "no status": with_column("status", pa.array(["colorized", "beautified"])),
    "an empty cell": with_column("etag", pa.array(["e", None])),
    "no UTF-8": with_column("key", pa.array([b"a", b"\xff"]).view(pa.string())),
    "no checksum": with_column("output_sha256", pa.array(["ab" * 32, "no hex"])),
    "no checksum in a list": with_column("further_sha256", pa.array([["ab" * 32], ["no hex"]])),
    "a page without its checksum": with_column("further_keys", pa.array([["images/a/page-0002.jpg"], None])),
}


@pytest.mark.slow
@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_what_no_commit_has_written_is_damaged(out, data) -> None:
    out.put(PART, data)
    with pytest.raises(DamagedLedgerPart) as raised:
        read_part(out, PART)
    text = str(raised.value)
    assert text.startswith(f"the ledger part {PART} in {out.uri} is damaged (")
    assert text.endswith("; restore it from a backup, or remove it to colour its images again")
    assert "\n" not in text


@pytest.mark.parametrize(("limit", "most"), [("_MOST_ROWS", 1), ("_MOST_BYTES", 100)])
def test_what_is_larger_than_any_part_is_not_unpacked(out, at_once, monkeypatch, limit, most) -> None:
    """Its footer says so before a page is read."""
    monkeypatch.setattr(read, limit, most)
    out.put(PART, parquet_bytes(ROWS))
    with pytest.raises(DamagedLedgerPart, match=r"is damaged \(it has more than [\d,]+ rows or "):
        read_part(out, PART)


@pytest.fixture
def at_once(monkeypatch) -> None:
    """No pauses before a damaged part is read again."""
    monkeypatch.setattr(read, "_PAUSES", (0.0, 0.0))


@pytest.mark.slow
def test_flipped_bits_never_change_what_is_read(out, at_once) -> None:
    """By the checksums of Parquet's pages; the footer fails by itself."""
    table = ledger_table([row(f"{i}.jpg", etag=f"{i:032x}") for i in range(40)])
    data, chances = parquet_bytes(table), random.Random(1)
    damaged = 0
    for _ in range(150):
        flipped = bytearray(data)
        bit = chances.randrange(8 * len(data))
        flipped[bit // 8] ^= 1 << bit % 8
        out.put(PART, bytes(flipped))
        try:
            assert read_part(out, PART).equals(table)  # a bit that means nothing
        except DamagedLedgerPart:
            damaged += 1
    assert damaged > 75


def test_a_part_that_comes_damaged_is_read_again(s3_moto) -> None:
    bucket = s3_moto.bucket()
    open_store(f"s3://{bucket}", s3_moto.storage_config).put(PART, parquet_bytes(ROWS))
    with fault_proxy(s3_moto, Fault("flip", path="/part-", bits=999, times=2)) as proxy:
        checked = open_store(f"s3://{bucket}", proxy.server.storage_config)
        believing = checked.config.model_copy(update={"verify_reads": False})
        assert read_part(open_store(f"s3://{bucket}", believing), PART).equals(ROWS)
        assert proxy.count("flip") == 2
        proxy.faults[:] = [Fault("flip", path="/part-")]
        with pytest.raises(DamagedLedgerPart) as raised:
            read_part(checked, PART)
    assert str(raised.value).startswith(f"s3://{bucket}/{PART} is damaged in the store or on the way from it")
    assert str(raised.value).endswith("; without the part its images are coloured again")
    assert "\n" not in str(raised.value)


def callers(out: Store) -> dict[str, Callable[[], object]]:
    return {
        "plan": lambda: done_images(read_ledger(out, "in").of("digest"), retry_failed=False),
        "plan, of another model": lambda: read_other_models(
            out, read_ledger(out, "in"), JobConfig(), "present"
        ),
        "compact": lambda: compact_ledger(out, "digest", "run"),
        "export, rows": lambda: newest_images(open_ledger(out)),
        "export, objects": lambda: newest_objects(open_ledger(out)),
    }


@pytest.mark.slow
@pytest.mark.parametrize("data", [b"PAR1", damaged_page()], ids=["no Parquet", "page"])
@pytest.mark.parametrize("name", callers(None))  # type: ignore[arg-type]
def test_every_caller_prints_the_same_line_and_exits_with_1(out, data, name, capsys) -> None:
    put_part(out, "digest", "2", [row("a")])
    out.put(PART, data)
    with pytest.raises(DamagedLedgerPart) as raised:
        read_part(out, PART)

    def work() -> int:
        callers(out)[name]()
        return 0

    assert exit_status(work, "text") == 1
    assert capsys.readouterr().err == f"error: {raised.value}\n"


@pytest.mark.slow
@pytest.mark.parametrize("data", [b"PAR1", damaged_page()], ids=["no Parquet", "page"])
def test_a_verification_reports_the_same_line_and_goes_on(out, data) -> None:
    put_part(out, "digest", "2", [row("a")])
    out.put(PART, data)
    with pytest.raises(DamagedLedgerPart) as raised:
        read_part(out, PART)
    (finding,) = read_expected(out).unreadable
    assert (finding.key, finding.code, finding.message) == (PART, "ledger_unreadable", str(raised.value))


def test_a_part_that_is_gone_is_not_damaged(out) -> None:
    with pytest.raises(ObjectMissing):
        read_part(out, PART)


def test_an_older_part_has_nulls_for_the_columns_it_lacks(out) -> None:
    older = ROWS.drop_columns(["guide_digest", "derivative_key", "metadata_changes"])
    out.put(PART, parquet_bytes(older))
    table = read_part(out, PART)
    assert table.schema == LEDGER_SCHEMA
    assert table["guide_digest"].null_count == table["metadata_changes"].null_count == 2
    assert table.select(older.column_names).equals(older)
    assert read_part(out, PART, ["guide_digest"]).num_rows == 2


def test_all_columns_read_back_as_they_were_written(out) -> None:
    full = LedgerRow(
        "k", "e", 1, Status.COLORIZED, 1, "unet", "w", "d", "r", datetime(2026, 1, 1, tzinfo=UTC)
    )
    full.metadata_changes, full.output_sha256, full.max_delta_l = ["icc: none", "xmp"], "ab" * 32, 0.25
    put_part(out, "digest", "1", [full])
    assert read_part(out, PART).equals(ledger_table([full]))
    assert read_part(out, PART).equals(pq.read_table(io.BytesIO(out.get(PART).data), schema=LEDGER_SCHEMA))


def test_parts_are_those_of_the_job_digest_or_all_in_order(out) -> None:
    for digest, shard in (("b", "2"), ("a", "9"), ("b", "1")):
        put_part(out, digest, shard, [row(f"{digest}{shard}")])
    out.put("ledger/b/notes.txt", b"of a person")
    assert list(list_parts(out, "b")) == [part_key("b", "1"), part_key("b", "2")]
    assert [t["key"][0].as_py() for t in stream_parts(out, list_parts(out), ["key"])] == ["a9", "b1", "b2"]


def test_many_parts_come_in_order_and_few_wait(monkeypatch) -> None:
    monkeypatch.setattr(read, "_THREADS", 4)
    lock, waiting, most = threading.Lock(), 0, 0

    def work(key: str) -> str:
        nonlocal waiting, most
        with lock:
            waiting += 1
            most = max(most, waiting)
        time.sleep(0.001 * (int(key) % 3))
        return key

    keys = [str(i) for i in range(40)]
    results = []
    for key in map_parts(work, keys):
        with lock:
            waiting -= 1
        results.append(key)
    assert results == keys
    assert most <= 5  # four ahead, and the one that is handed over
