"""The photographs that ship: each with its licence line, an old black-and-white photograph, and small."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.color.spaces import srgb_to_lab
from tests.support.paths import SAMPLES as PHOTOS

ROWS = list(csv.DictReader((PHOTOS / "manifest.csv").open(encoding="utf-8", newline="")))
FILES = sorted(p for p in PHOTOS.iterdir() if p.suffix != ".csv" and not p.name.startswith("before-after"))


def test_manifest_lists_exactly_the_files() -> None:
    assert [row["file"] for row in ROWS] == [file.name for file in FILES]
    assert len(FILES) >= 12


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["file"])
def test_every_photograph_says_where_it_is_from_and_why_it_may_ship(row: dict[str, str]) -> None:
    assert "public domain" in row["licence"] or "CC0" in row["licence"]
    assert row["source"].startswith("https://")
    assert row["title"]
    assert row["year"]


def test_the_folder_is_small() -> None:
    assert sum(file.stat().st_size for file in FILES) < 3_000_000


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_photograph_has_colour_beyond_a_tone(file: Path) -> None:
    with Image.open(file) as image:
        image.thumbnail((200, 200))
        ab = srgb_to_lab(np.asarray(image.convert("RGB"), np.float32) / 255)[..., 1:]
    assert np.abs(ab.reshape(-1, 2).mean(axis=0)).max() < 8  # the tone
    assert ab.reshape(-1, 2).std(axis=0).max() < 5  # what strays from it
