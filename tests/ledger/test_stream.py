"""Which rows an export takes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigError, DamagedLedgerPart
from pipeline.export.objects import find_objects
from pipeline.ledger.stream import newest_images, newest_objects, open_ledger, rows_at
from pipeline.ledger.write import commit_part
from pipeline.storage import Store, open_store
from tests.support.delivered import deliver, row


@pytest.fixture
def out(tmp_path, no_storage) -> Store:
    return open_store(str(tmp_path), no_storage)


@pytest.mark.slow
@settings(deadline=None, max_examples=20)  # each example writes a ledger
@given(
    parts=st.lists(
        st.lists(
            st.tuples(st.sampled_from("abcd"), st.integers(0, 23), st.booleans()), min_size=1, max_size=5
        ),
        min_size=1,
        max_size=5,
    )
)
def test_the_row_finished_last_counts_once(parts, tmp_path_factory, no_storage):
    out = open_store(str(tmp_path_factory.mktemp("out")), no_storage)
    for number, cells in enumerate(parts):
        rows = [row(key, b"x" if fine else None, hour) for key, hour, fine in cells]
        commit_part(out, f"digest-{number % 2}", f"{number}", rows)
    cells = [cell for part in parts for cell in part]
    listed = open_ledger(out)
    for placed, wanted in (
        (newest_images(listed), cells),
        (newest_objects(listed), [cell for cell in cells if cell[2]]),
    ):
        rows = [row for table in rows_at(listed, placed) for row in table.to_pylist()]
        last = {key: max(hour for other, hour, _ in wanted if other == key) for key, _, _ in wanted}
        assert {row["key"]: row["finished_at"].hour for row in rows} == last
        assert len(rows) == len(last)
        assert all(row["at_key"].removeprefix("images/") == row["key"] for row in rows)


def test_objects_are_the_outputs_and_derivatives_of_all_runs_that_are_there(out):
    delivered = deliver(out)
    out.put("images/stray.jpg", b"of nobody")
    out.delete("images/box 1/a.jpg")
    objects = find_objects(open_ledger(out))
    sizes = dict(zip(objects.present["key"].to_pylist(), objects.present["bytes"].to_pylist(), strict=True))
    del delivered["images/box 1/a.jpg"]
    assert sizes == {key: len(data) for key, data in delivered.items()}
    (finding,) = objects.findings.to_pylist()
    assert (finding["key"], finding["finding"]) == ("images/box 1/a.jpg", "missing")
    assert objects.unexpected == 1


def test_a_row_without_a_checksum_is_a_finding(out):
    out.put("images/a.jpg", b"a")
    commit_part(out, "digest", "0", [row("a.jpg", b"a", output_sha256=None)])
    objects = find_objects(open_ledger(out))
    assert objects.findings["finding"].to_pylist() == ["no_checksum"]
    assert objects.present.num_rows == 0


def test_no_row_is_left_out_in_silence(out):
    with pytest.raises(ConfigError, match="no ledger"):
        open_ledger(out)
    deliver(out)
    out.put("ledger/digest-1/part-1.parquet", b"PAR1 cut off")
    with pytest.raises(DamagedLedgerPart, match=r"part-1\.parquet in .* is damaged"):
        newest_images(open_ledger(out))
