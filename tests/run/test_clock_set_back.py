"""A clock that was ahead when an earlier run wrote its rows, and is correct now."""

from __future__ import annotations

import io
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from pipeline.config.storage import StorageConfig
from pipeline.ledger.read import list_parts
from pipeline.ledger.write import parquet_bytes
from pipeline.storage import open_store
from tests.support.job_runner import encoded, fill, image_digests, ledger, photograph


def put_ahead(out: str, ahead: timedelta) -> None:
    """Rewrite all rows as a clock that was ahead would have written them."""
    store = open_store(out, StorageConfig())
    for key in list(list_parts(store)):
        table = pq.read_table(io.BytesIO(store.get(key).data))
        at = table.schema.get_field_index("finished_at")
        later = pc.add(table["finished_at"], pa.scalar(ahead, pa.duration("us")))
        store.put(key, parquet_bytes(table.set_column(at, table.schema.field(at), later)))


@pytest.mark.job
def test_the_last_result_stands_though_its_clock_says_that_it_is_older(
    tmp_path: Path, colorize, in_process
) -> None:
    """Else the ledger names the results of the first run, and prune removes those of the second."""
    out = str(tmp_path / "out")
    fill(str(tmp_path / "in"), {f"{name}.jpg": encoded(photograph(i)) for i, name in enumerate("ab")})
    places = ("--input", tmp_path / "in", "--output", out)
    assert colorize(*places).returncode == 0
    put_ahead(out, timedelta(hours=5))
    assert colorize(*places, "--set", "output.format=png").returncode == 0
    assert in_process("prune", "--output", out, "--apply").returncode == 0
    coloured = [row for row in ledger(out) if row["status"] == "colorized"]
    second = {
        row["output_key"]: row["output_sha256"] for row in coloured if row["output_key"].endswith("png")
    }
    assert image_digests(out) == second
    assert sorted(second) == ["images/a.jpg.png", "images/b.jpg.png"]
    times = [row["finished_at"] for row in coloured]
    assert len(set(times)) == len(times) - 1  # of the second run: both a moment after the rows of the first
