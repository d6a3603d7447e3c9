"""Accepted results, and nothing else in an output, become training photographs."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from jobs.prepare_photos import main
from pipeline.ledger.schema import LedgerRow
from pipeline.review.accepted import accepted_results
from pipeline.review.decisions import Decision, write_decision
from pipeline.storage import Store
from tests.support.gallery_samples import coloured, stores
from tests.support.ledger_parts import put_part

NAMES = ("accepted", "corrected-accepted", "corrected", "gray", "rejected", "undone", "undecided", "other")


def decide(out: Store, row: LedgerRow, verdict: str, **fields: Any) -> Decision:
    about = {"key": row.key, "etag": row.etag, "output_sha256": row.output_sha256}
    decision = Decision(**{**about, "verdict": verdict, "who": "Kim", "when": datetime.now(UTC), **fields})
    assert write_decision(out, decision)
    return decision


@pytest.fixture
def out(tmp_path: Path) -> Store:
    """An image for each kind of decision, and results with colours of their own."""
    source, out = stores(tmp_path)
    rows = {name: coloured(source, out, f"{name}.jpg", number) for number, name in enumerate(NAMES)}
    rows["gray"].method = "gray"
    put_part(out, "digest", "1", list(rows.values()))
    for name in ("corrected-accepted", "corrected"):
        decide(out, rows[name], "correct", correction={"chroma": 0.5})
    for name in ("accepted", "corrected-accepted", "gray"):
        decide(out, rows[name], "accept")
    decide(out, rows["rejected"], "accept")
    decide(out, rows["rejected"], "reject")
    taken = decide(out, rows["undone"], "accept")
    decide(out, rows["undone"], "undo", undoes=taken.id)
    decide(out, rows["other"], "accept", output_sha256="0" * 64)
    return out


def test_only_what_stands_and_was_accepted(out: Store) -> None:
    keys = [one.key for one in accepted_results(out)]
    assert keys == ["images/accepted.jpg", "images/corrected-accepted.jpg"]


def test_they_are_rows_of_the_source_decisions(
    out: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.effect_noise((64, 64), 90).save(tmp_path / "out/images/corrected-accepted.jpg")  # by somebody else
    line = ["--decisions", out.uri, "--output", str(tmp_path / "rows"), "--set", "photos.val_permille=0"]
    assert main(line) == 0
    assert capsys.readouterr().out == "kept 1: 1 to train on, 0 to validate\nleft out, changed: 1\n"
    (row,) = pq.read_table(tmp_path / "rows/photos-00000.parquet").to_pylist()
    assert (row["source"], row["key"], row["split"]) == ("decisions", "out/images/accepted.jpg", "train")


def test_without_photographs_it_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--output", str(tmp_path / "rows")])
    assert ended.value.code == 2
    assert "--decisions" in capsys.readouterr().err
