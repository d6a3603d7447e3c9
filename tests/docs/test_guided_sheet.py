"""The guides of the contact sheets are valid and small, and each picture has its licence line."""

import csv

import pytest

from pipeline.config.job import JobConfig
from pipeline.config.loading import load
from pipeline.plan.plan import make_plan
from pipeline.shard.open_guides import open_guides
from pipeline.storage import open_store
from tests.support.guided_sheet import GUIDES, MOST_BYTES, PHOTOS, SHEETS

FILES = sorted(GUIDES.glob("*.jsonl"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_guides_fit_the_photographs_that_ship(file, tmp_path, no_storage):
    """Checked as a job checks them before any work; its dry run would colour some photographs too."""
    config = load(JobConfig, None, [f"guides.file={file}"])
    source, out = (open_store(str(folder), no_storage) for folder in (PHOTOS, tmp_path))
    plan = make_plan(source, out, config, "digest", workers=1, guides=open_guides(source, config, out))
    assert len(plan.guidance.guides) == 4


def test_every_borrowed_picture_says_where_it_is_from_and_why_it_may_ship():
    rows = list(csv.DictReader((GUIDES / "manifest.csv").open(encoding="utf-8", newline="")))
    assert [row["file"] for row in rows] == [file.name for file in sorted(GUIDES.glob("*.jpg"))]
    assert all(row["licence"].startswith("CC ") and row["source"].startswith("http") for row in rows)


def test_guides_and_sheets_are_small():
    assert sum(file.stat().st_size for file in GUIDES.iterdir()) < 300_000
    sheets = list(SHEETS.glob("*.jpg"))
    assert len(sheets) == 2
    assert max(file.stat().st_size for file in sheets) < MOST_BYTES
