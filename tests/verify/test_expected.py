"""What should exist according to the ledgers, compared with what exists."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.ledger.schema import LedgerRow
from pipeline.ledger.write import commit_part
from pipeline.records import Status
from pipeline.storage import ObjectInfo, Store, open_store
from pipeline.verify.expected import read_expected
from pipeline.verify.findings import FindingCode
from pipeline.verify.listing_comparison import compare, cut, listed_table


def row(key: str, data: bytes, hour: int = 0, status: Status = Status.COLORIZED) -> LedgerRow:
    """A ledger row whose output is `data` and whose source is `data` backwards."""
    coloured = status == Status.COLORIZED
    at = datetime(2026, 1, 1, hour, tzinfo=UTC)
    plain = LedgerRow(key, "e", 1, status, 1, "unet", "weights", "digest", "run", at)
    return replace(
        plain,
        source_sha256=hashlib.sha256(data[::-1]).hexdigest(),
        output_key=f"images/{key}" if coloured else None,
        output_sha256=hashlib.sha256(data).hexdigest() if coloured else None,
    )


@pytest.fixture
def out(tmp_path: Path, no_storage) -> Store:
    return open_store(str(tmp_path), no_storage)


def test_of_all_job_digests_the_row_finished_last_counts(out):
    commit_part(out, "digest-b", "1", [row("a.jpg", b"old", hour=1), row("b.jpg", b"only")])
    commit_part(out, "digest-a", "1", [row("a.jpg", b"new", hour=3)])
    commit_part(out, "digest-c", "1", [row("a.jpg", b"middle", hour=2)])
    commit_part(
        out, "digest-c", "2", [row("a.jpg", b"", 4, Status.FAILED), row("c.jpg", b"", 4, Status.FAILED)]
    )
    expected = read_expected(out)
    assert expected.outputs["key"].to_pylist() == ["images/a.jpg", "images/b.jpg"]
    assert expected.outputs["sha256"].to_pylist() == [hashlib.sha256(d).digest() for d in (b"new", b"only")]
    assert expected.sources["key"].to_pylist() == ["a.jpg", "b.jpg", "c.jpg"]
    assert (expected.parts, expected.unreadable) == (4, [])


def test_a_part_that_cannot_be_read_is_named_and_the_others_count(out):
    commit_part(out, "digest", "1", [row("a.jpg", b"a")])
    commit_part(out, "digest", "2", [replace(row("b.jpg", b"b"), output_sha256="no hex")])
    out.put("ledger/digest/part-3.parquet", b"PAR1 cut off")
    expected = read_expected(out)
    assert expected.outputs["key"].to_pylist() == ["images/a.jpg"]
    assert [finding.key for finding in expected.unreadable] == [
        "ledger/digest/part-2.parquet",
        "ledger/digest/part-3.parquet",
    ]
    assert {finding.code for finding in expected.unreadable} == {FindingCode.LEDGER_UNREADABLE}
    assert all("\n" not in finding.message for finding in expected.unreadable)


def test_the_second_file_of_an_image_is_expected_too(out):
    derived = replace(
        row("a.tif", b"master"),
        derivative_key="derivatives/a.tif.jpg",
        derivative_sha256=hashlib.sha256(b"access").hexdigest(),
    )
    commit_part(out, "digest", "1", [derived, row("b.tif", b"alone")])
    named = {pair["key"]: pair["sha256"] for pair in read_expected(out).outputs.to_pylist()}
    files = {"derivatives/a.tif.jpg": b"access", "images/a.tif": b"master", "images/b.tif": b"alone"}
    assert named == {key: hashlib.sha256(data).digest() for key, data in files.items()}


def test_no_ledger_at_all_is_a_misspelt_place(out):
    with pytest.raises(ConfigError, match="no ledger"):
        read_expected(out)


@pytest.mark.slow
@settings(deadline=None)  # each example writes a ledger
@given(
    named=st.sets(st.text("ab/é\U0001f3de", min_size=1, max_size=6)),
    there=st.sets(st.text("ab/é\U0001f3de", min_size=1, max_size=6)),
)
def test_comparing_is_the_algebra_of_sets(named, there, tmp_path_factory, no_storage):
    out = open_store(str(tmp_path_factory.mktemp("out")), no_storage)
    commit_part(out, "digest", "1", [row(key, key.encode()) for key in sorted(named)])
    expected = read_expected(out).outputs
    listed = listed_table(ObjectInfo(f"images/{key}", "e", 1) for key in sorted(there))
    compared = compare(expected, listed)
    parted = [{key.removeprefix("images/") for key in table["key"].to_pylist()} for table in compared]
    assert parted == [named - there, there - named, named & there]
    for pair in compared.both.to_pylist():
        assert pair["sha256"] == hashlib.sha256(pair["key"].removeprefix("images/").encode()).digest()


@given(sizes=st.lists(st.integers(0, 400 * 2**20), max_size=60), workers=st.integers(1, 8))
def test_every_object_is_in_exactly_one_bounded_span(sizes, workers):
    spans = list(cut(np.array(sizes, np.int64), workers))
    assert [i for start, stop in spans for i in range(start, stop)] == list(range(len(sizes)))
    for start, stop in spans:
        assert stop - start == 1 or sum(sizes[start:stop]) <= 256 * 2**20
