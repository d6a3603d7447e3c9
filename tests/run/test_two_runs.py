"""Two runs that write to one output, and a storage that loses what it confirmed."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from threading import Thread

import psutil
import pytest

from tests.support.job_runner import POOL, encoded, fill, ledger, photograph, started


@pytest.mark.job
def test_the_second_run_leaves_or_waits(tmp_path: Path, colorize) -> None:
    fill(str(tmp_path / "in"), {f"{i:02d}.jpg": encoded(photograph(i)) for i in range(16)})
    asked = ("--input", tmp_path / "in", "--output", tmp_path / "out", "--set", "plan.shard_images=4")
    with ExitStack() as until_the_end:
        first = until_the_end.enter_context(started(*asked, *POOL))
        lease = tmp_path / "out" / "lease" / "at-work-00000001.json"
        while not lease.exists():
            assert first.poll() is None
            time.sleep(0.02)
        at_work = psutil.Process(first.pid)
        at_work.suspend()  # it must not be done before the others have seen it
        try:
            third = until_the_end.enter_context(started(*asked, *POOL, "--set", "run.wait_minutes=10"))
            second = colorize(*asked, "--set", "plan.shard_images=8")
            while "waiting for it to end" not in third.written()[1]:
                assert third.poll() is None
                time.sleep(0.02)
        finally:
            at_work.resume()
        assert second.returncode == 1
        [line] = second.stderr.strip().splitlines()
        assert line.startswith("error: run 20")
        assert f"(process {first.pid} on " in line
        stdout, stderr = third.communicate(timeout=240)
        assert third.returncode == 0, stderr
        assert "Nothing to do: all 16 files are in the ledger" in stdout
        _, stderr = first.communicate(timeout=240)
        assert first.returncode == 0, stderr
    assert len(list((tmp_path / "out").glob("ledger/*/*.parquet"))) == 4
    assert len(ledger(str(tmp_path / "out"))) == 16


@pytest.mark.job
def test_a_ledger_part_that_was_confirmed_and_lost_is_no_success(tmp_path: Path, colorize) -> None:
    fill(str(tmp_path / "in"), {f"{i:02d}.jpg": encoded(photograph(i, 300, 200)) for i in range(12)})
    out, lost = tmp_path / "out", []

    def lose_the_first_part() -> None:
        while not lost:
            lost.extend(out.glob("ledger/*/*.parquet"))
            time.sleep(0.01)
        lost[0].unlink()

    thief = Thread(target=lose_the_first_part)
    thief.start()
    asked = ("--input", tmp_path / "in", "--output", out, "--set", "plan.shard_images=4")
    gap = colorize(*asked)
    thief.join()
    assert gap.returncode == 1
    assert "4 of 12 images of this run have no row" in gap.stderr
    assert lost[0].name in gap.stderr
    assert not list(out.glob("runs/*/summary.json"))
    again = colorize(*asked)
    assert again.returncode == 0, again.stderr
    assert len(ledger(str(out))) == 12
