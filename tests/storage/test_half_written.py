"""What a killed process was writing: left out of listings, and removed once nobody can write it any more."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from jobs.prune import main as prune
from pipeline import child_python_path
from pipeline.storage import drop_half_written, machine, open_store
from pipeline.storage.half_written import half_written_name
from tests.support import ledger_parts
from tests.support.job_runner import POOL, encoded, fill, image_digests, photograph, started

WRITE = """
import sys
from pathlib import Path
from pipeline.config.storage import StorageConfig
from pipeline.storage import open_store

class Slow:
    def read(self, size):
        print("writing", flush=True)
        return b"half" if sys.stdin.readline() else b""

open_store(sys.argv[1], StorageConfig())._replace(Path(sys.argv[1], "images", "a.jpg"), Slow())
"""
ELSEWHERE = f".fiat-00000000-1-1-{'0' * 32}.tmp"
EARLIER = f".fiat-{'1' * 32}.tmp"


def writer(out: Path) -> subprocess.Popen[str]:
    """A process that has written some bytes of an image, and waits."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    environment = os.environ | {"PYTHONPATH": child_python_path()}
    process = subprocess.Popen([sys.executable, "-c", WRITE, str(out)], **pipes, text=True, env=environment)
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    return process


def left(out: Path) -> list[str]:
    return sorted(path.name for path in out.rglob(".fiat-*"))


def test_only_what_nobody_can_be_writing_is_removed(tmp_path: Path, no_storage) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "disk2"
    killed, alive = writer(out), writer(out)
    (out / "deep").mkdir()
    elsewhere.mkdir()
    (out / "deep" / "linked").symlink_to(elsewhere)
    (elsewhere / "above").symlink_to(out)
    dead = machine._mark(killed.pid)
    killed.kill()
    killed.wait()
    (elsewhere / f".fiat-{dead}-{'2' * 32}.tmp").write_bytes(b"half")
    for name in (ELSEWHERE, EARLIER):  # their writers may be at it
        (out / name).write_bytes(b"half")
    (out / ".fiat-mine.tmp").write_bytes(b"the user's own")
    assert len(left(out)) == 5
    drop_half_written(open_store(str(out), no_storage))
    mark = machine._mark(alive.pid)
    (theirs,) = [name for name in left(out) if mark in name]
    assert left(out) == sorted([theirs, ELSEWHERE, EARLIER, ".fiat-mine.tmp"])
    assert not list(elsewhere.glob(".fiat-*"))
    for name in (ELSEWHERE, EARLIER):
        os.utime(out / name, times=(time.time() - 90_000,) * 2)
    drop_half_written(open_store(str(out), no_storage))
    assert left(out) == sorted([theirs, ".fiat-mine.tmp"])
    alive.communicate("")
    assert (out / "images" / "a.jpg").exists()


def test_a_fork_writes_under_its_own_name() -> None:
    here = half_written_name()
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        os.write(write, half_written_name().encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert f"-{child}-" in os.read(read, 200).decode()
    assert f"-{os.getpid()}-" in here


def test_prune_removes_it(tmp_path: Path, no_storage) -> None:
    ledger_parts.put_part(open_store(str(tmp_path), no_storage), "digest", "1", [ledger_parts.row("a.jpg")])
    killed = writer(tmp_path)
    killed.kill()
    killed.wait()
    assert prune(["--output", str(tmp_path)]) == 0
    assert len(left(tmp_path)) == 1
    assert prune(["--output", str(tmp_path), "--apply"]) == 0
    assert left(tmp_path) == []


@pytest.mark.job
def test_the_run_after_a_killed_one_removes_it(tmp_path: Path, colorize) -> None:
    out = tmp_path / "out"
    fill(str(tmp_path / "in"), {f"{i}.jpg": encoded(photograph(i, 64, 48)) for i in range(3)})
    asked = ("--input", tmp_path / "in", "--output", out)
    with started(*asked, *POOL) as killed:
        while not list(out.glob("runs/*/config.yaml")):
            assert killed.poll() is None
            time.sleep(0.01)
        mark, family = machine._mark(killed.pid), psutil.Process(killed.pid).children(recursive=True)
        killed.kill()
        killed.wait(60)
    psutil.wait_procs(family, timeout=20)
    (out / "images").mkdir(exist_ok=True)
    (out / "images" / f".fiat-{mark}-{'0' * 32}.tmp").write_bytes(b"half")
    assert colorize(*asked).returncode == 0
    assert left(out) == []
    assert len(image_digests(str(out))) == 3
