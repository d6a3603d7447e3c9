"""The guides of the contact sheets: valid as they lie there, small, each picture with its licence line."""

import csv

import pytest

from jobs.colorize_bucket import main
from tests.support.guided_sheet import GUIDES, MOST_BYTES, PHOTOS, SHEETS

FILES = sorted(GUIDES.glob("*.jsonl"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_guides_fit_the_photographs_that_ship(file, tmp_path, capsys):
    args = ["--input", str(PHOTOS), "--output", str(tmp_path / "out"), "--guides", str(file), "--dry-run"]
    assert main(args) == 0
    assert "guides   4 images: " in capsys.readouterr().out


def test_every_borrowed_picture_says_where_it_is_from_and_why_it_may_ship():
    rows = list(csv.DictReader((GUIDES / "manifest.csv").open(encoding="utf-8", newline="")))
    assert [row["file"] for row in rows] == [file.name for file in sorted(GUIDES.glob("*.jpg"))]
    assert all(row["licence"].startswith("CC ") and row["source"].startswith("http") for row in rows)


def test_guides_and_sheets_are_small():
    assert sum(file.stat().st_size for file in GUIDES.iterdir()) < 300_000
    sheets = list(SHEETS.glob("*.jpg"))
    assert len(sheets) == 2
    assert max(file.stat().st_size for file in sheets) < MOST_BYTES
