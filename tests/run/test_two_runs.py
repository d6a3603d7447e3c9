"""Two runs at one output, and a storage that loses what it confirmed."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from threading import Thread

import pytest

from tests.support.job_runner import FAST, command, encoded, fill, ledger, photograph, run, shared_head

SHARDS = (*FAST, "--set", "plan.shard_images=4")


def start(*arguments: object) -> subprocess.Popen[str]:
    """The job, on the head that all tests share."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command(*arguments), **pipes, text=True, env=os.environ | shared_head())


@pytest.mark.ray
def test_the_second_run_leaves_or_waits(tmp_path: Path) -> None:
    fill(str(tmp_path / "in"), {f"{i:02d}.jpg": encoded(photograph(i, 300, 200)) for i in range(64)})
    asked = ("--input", tmp_path / "in", "--output", tmp_path / "out", *SHARDS)
    first = start(*asked)
    lease = tmp_path / "out" / "lease" / "at-work-00000001.json"
    while not lease.exists():
        assert first.poll() is None
        time.sleep(0.02)
    third = start(*asked, "--set", "run.wait_minutes=10")
    second = run(*asked, "--set", "plan.shard_images=8")
    assert second.returncode == 1
    [line] = second.stderr.strip().splitlines()
    assert line.startswith("error: run 20")
    assert f"(process {first.pid} on " in line
    stdout, stderr = third.communicate(timeout=240)
    assert third.returncode == 0, stderr
    assert "waiting for its end" in stderr
    assert "Nothing to do: all 64 objects are in the ledger" in stdout
    _, stderr = first.communicate(timeout=240)
    assert first.returncode == 0, stderr
    assert len(list((tmp_path / "out").glob("ledger/*/*.parquet"))) == 16
    assert len(ledger(str(tmp_path / "out"))) == 64


@pytest.mark.ray
def test_a_ledger_part_that_was_confirmed_and_lost_is_no_success(tmp_path: Path) -> None:
    fill(str(tmp_path / "in"), {f"{i:02d}.jpg": encoded(photograph(i, 300, 200)) for i in range(12)})
    out, lost = tmp_path / "out", []

    def lose_the_first_part() -> None:
        while not lost:
            lost.extend(out.glob("ledger/*/*.parquet"))
            time.sleep(0.01)
        lost[0].unlink()

    thief = Thread(target=lose_the_first_part)
    thief.start()
    gap = run("--input", tmp_path / "in", "--output", out, *SHARDS)
    thief.join()
    assert gap.returncode == 1
    assert "4 of 12 images of this run lack their row" in gap.stderr
    assert lost[0].name in gap.stderr
    assert not list(out.glob("runs/*/summary.json"))
    again = run("--input", tmp_path / "in", "--output", out, *SHARDS)
    assert again.returncode == 0, again.stderr
    assert len(ledger(str(out))) == 12
