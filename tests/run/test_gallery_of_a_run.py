"""A run makes the gallery by default, but not for a large archive."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.run.colorize import MOST_FOR_A_GALLERY
from tests.support.job_runner import encoded, fill, photograph
from tests.support.paths import REPO


@pytest.fixture
def job(tmp_path: Path) -> tuple[object, ...]:
    fill(str(tmp_path / "in"), {f"{i}.jpg": encoded(photograph(i)) for i in range(3)})
    return "--input", tmp_path / "in", "--output", tmp_path / "out"


@pytest.mark.job
@pytest.mark.parametrize(
    ("most", "settings", "made"),
    [
        (3, (), True),
        (2, (), False),
        (2, ("--set", "report.gallery=true"), True),
        (3, ("--set", "report.gallery=false"), False),
    ],
)
def test_up_to_a_number_of_files(
    job: tuple[object, ...], most: int, settings: tuple[str, ...], made: bool, colorize, monkeypatch
) -> None:
    monkeypatch.setattr("pipeline.run.colorize.MOST_FOR_A_GALLERY", most)
    done = colorize(*job, *settings)
    assert done.returncode == 0, done.stderr
    out = Path(str(job[-1]))
    thumbnails = list((out / "gallery").rglob("*.jpg"))
    assert ((out / "gallery" / "index.html").exists(), len(thumbnails)) == ((True, 6) if made else (False, 0))
    assert (f"fiat-color review {out} --serve" in done.stdout) == made
    assert f"fiat-color review {out}" in done.stdout


@pytest.mark.parametrize(
    "page", ["README.md", "docs/review.md", "docs/archivist.md", "configs/colorize/default.yaml"]
)
def test_the_pages_say_the_number(page: str) -> None:
    assert f"{MOST_FOR_A_GALLERY:,} files" in " ".join((REPO / page).read_text(encoding="utf-8").split())
