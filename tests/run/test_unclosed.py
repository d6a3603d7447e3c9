"""A run that coloured everything but was not closed: the same command closes it, with that run's figures."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from tests.run.test_storage_faults import FULL, error_line
from tests.support.disks import small_disk
from tests.support.job_runner import POOL, encoded, fill, image_digests, ledger, photograph, started

IMAGES = 6
SHARDS = ("--set", "plan.shard_images=3", "--set", "report.gallery=false")
END = ("ledger.parquet", "contact-sheet.png", "index.html", "summary.json")


def ended(out: Path) -> dict[str, Path]:
    """The files of the end of the only run."""
    (folder,) = (out / "runs").iterdir()
    return {path.name: path for path in folder.rglob("*") if path.name in END}


def kibibytes(paths: list[Path]) -> int:
    """What they take on a disk, in pages of 4 KiB."""
    return sum(-(-path.stat().st_size // 4096) * 4 for path in paths)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    photographs = {f"{i:02d}.jpg": encoded(photograph(i, 300, 200)) for i in range(IMAGES - 1)}
    fill(str(tmp_path / "in"), photographs | {"broken.jpg": b"no photograph"})
    return tmp_path / "in"


@pytest.mark.job
@pytest.mark.parametrize("missing", END[:3])
def test_a_disk_that_was_full_at_the_end(missing: str, source: Path, tmp_path: Path, colorize) -> None:
    whole = tmp_path / "whole"
    assert colorize("--input", source, "--output", whole, *SHARDS).returncode == 3
    end = ended(whole)
    late = [end[name] for name in END[END.index(missing) :]]
    before = [path for path in whole.rglob("*") if path.is_file() and path not in late]
    with small_disk(tmp_path / "disk", kibibytes(before) + kibibytes([end[missing]]) // 2) as disk:
        job = ("--input", source, "--output", disk / "out", *SHARDS)
        line = error_line(colorize(*job))
        assert line.endswith(f"{missing}: {FULL}")
        assert ended(disk / "out").keys() == set(END[: END.index(missing)])
        subprocess.run(["mount", "-o", "remount,size=9m", str(disk)], check=True)
        again = colorize(*job)
        assert again.returncode == 3, again.stderr
        assert "coloured its images but was not closed: closing it now" in again.stdout
        assert "broken.jpg" in again.stdout
        assert ended(disk / "out").keys() == set(END)
        summaries = [json.loads(ended(out)["summary.json"].read_text()) for out in (whole, disk / "out")]
        same = ("counts", "failures", "todo", "done_before", "listed", "workers", "topology", "engine")
        assert [summaries[0][name] for name in same] == [summaries[1][name] for name in same]
        assert summaries[1]["seconds"]["total"] < 600
        assert image_digests(str(disk / "out")) == image_digests(str(whole))
        assert "Nothing to do" in colorize(*job).stdout


@pytest.mark.job
def test_a_command_that_was_killed_while_it_closed(source: Path, tmp_path: Path, colorize) -> None:
    out = tmp_path / "out"
    job = ("--input", source, "--output", out, *SHARDS)
    # Of hundreds of pictures the contact sheet takes long enough for a kill.
    with started(*job, *POOL, "--set", "report.sample=200") as run:
        until = time.monotonic() + 240
        while not list((out / "runs").glob("*/ledger.parquet")):
            assert time.monotonic() < until
            assert run.poll() is None, "it ended before it was killed"
            time.sleep(0.005)
        run.kill()
        run.wait(60)
    assert ended(out).keys() == {"ledger.parquet"}
    before = ledger(str(out))
    assert len(before) == IMAGES
    assert colorize(*job).returncode == 3
    assert ended(out).keys() == set(END)
    assert ledger(str(out)) == before


@pytest.mark.job
def test_what_came_to_its_end_is_not_closed_again(source: Path, tmp_path: Path, colorize) -> None:
    job = ("--input", source, "--output", tmp_path / "out", *SHARDS)
    assert colorize(*job).returncode == 3
    summary = ended(tmp_path / "out")["summary.json"]
    written = summary.stat().st_mtime_ns
    assert "closing" not in colorize(*job).stdout
    assert summary.stat().st_mtime_ns == written
    summary.unlink()
    other = colorize(*job, "--set", "output.format=png")  # another job: it has work of its own
    assert "was not closed" not in other.stdout
    assert not summary.exists()


@pytest.mark.job
def test_what_cannot_be_known_of_a_run_is_said(source: Path, tmp_path: Path, colorize) -> None:
    job = ("--input", source, "--output", tmp_path / "out", *SHARDS)
    assert colorize(*job).returncode == 3
    ended(tmp_path / "out")["summary.json"].unlink()
    (start,) = (tmp_path / "out").glob("runs/*/start.json")
    start.write_text('{"job_digest"')
    rows = ledger(str(tmp_path / "out"))
    other = colorize(*job)
    assert f"warning: cannot read runs/{start.parent.name}/start.json" in other.stdout + other.stderr
    assert "summary.json" not in ended(tmp_path / "out")
    assert ledger(str(tmp_path / "out")) == rows
