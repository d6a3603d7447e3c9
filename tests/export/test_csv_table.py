"""The ledger as CSV."""

from __future__ import annotations

import csv
import io

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.export.csv_table import write_csv
from pipeline.ledger.schema import LEDGER_SCHEMA
from pipeline.ledger.stream import newest_images, open_ledger
from pipeline.ledger.write import commit_part
from pipeline.storage import Store, open_store
from tests.support.delivered import deliver, row

FORMULA = "=+-@\t\r\n＝＋－＠"


def exported(out: Store) -> bytes:
    file, parts = io.BytesIO(), open_ledger(out)
    write_csv(parts, newest_images(parts), file, lambda count: None)
    return file.getvalue()


def test_it_has_one_row_per_source_image_and_every_column(tmp_path, no_storage):
    out = open_store(str(tmp_path), no_storage)
    deliver(out)
    table = pd.read_csv(io.BytesIO(exported(out)))
    assert list(table.columns) == LEDGER_SCHEMA.names
    rows = table.set_index("key")
    assert sorted(rows.index) == ["b.jpg", "bad.jpg", "box 1/a.jpg", "c.tif"]
    assert rows["run_id"]["b.jpg"] == "run-2"
    assert rows["finished_at"]["b.jpg"] == "2026-01-01T02:00:00+00:00"
    assert (rows["max_delta_l"]["c.tif"], rows["metadata_changes"]["c.tif"]) == (0.25, "icc: none")
    assert rows["message"]["bad.jpg"] == "'=cut off"
    assert pd.isna(rows["output_key"]["bad.jpg"])


def test_a_spreadsheet_sees_that_it_is_utf8_and_libraries_read_past_the_mark(tmp_path, no_storage):
    out, file = open_store(str(tmp_path / "out"), no_storage), tmp_path / "ledger.csv"
    commit_part(out, "digest", "0", [row("한강 Köln.jpg", b"a")])
    file.write_bytes(exported(out))
    assert file.read_bytes().startswith(b"\xef\xbb\xbfkey,")
    assert duckdb.sql(f"select key from read_csv('{file}')").fetchall() == [("한강 Köln.jpg",)]
    assert pl.read_csv(file)["key"].to_list() == list(pd.read_csv(file)["key"]) == ["한강 Köln.jpg"]


@pytest.mark.slow
@settings(deadline=None, max_examples=30)  # each example writes a ledger
@given(
    message=st.text(st.one_of(st.sampled_from(FORMULA + "'\",;"), st.characters(codec="utf-8")), min_size=1),
    changes=st.lists(st.sampled_from(["icc: none", "-1", "=A1", "exif, xmp"]), min_size=1),
    number=st.floats(-100, 100, width=32),
)
def test_nothing_is_a_formula_and_everything_reads_back(
    message, changes, number, tmp_path_factory, no_storage
):
    out = open_store(str(tmp_path_factory.mktemp("out")), no_storage)
    output = row("a.jpg", b"a", message=message, metadata_changes=changes, max_delta_l=number)
    commit_part(out, "digest", "0", [output])
    text = exported(out).decode("utf-8-sig")
    (cells,) = csv.DictReader(io.StringIO(text, newline=""))
    assert not cells["message"].startswith(tuple(FORMULA))
    assert not cells["metadata_changes"].startswith(tuple(FORMULA))
    assert cells["message"].removeprefix("'") == message
    assert cells["metadata_changes"].removeprefix("'").split("; ") == changes
    assert np.float32(cells["max_delta_l"]) == np.float32(number)
