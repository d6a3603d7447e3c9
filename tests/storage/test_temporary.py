"""Temporary folders: deleted after their block, and after a process was killed inside it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pipeline import child_python_path
from pipeline.storage import temporary
from pipeline.storage.temporary import temporary_folder

HOLD = """
import sys
from pipeline.storage.temporary import temporary_folder
with temporary_folder() as folder:
    (folder / "master.tif").write_bytes(b"x" * 1000)
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def a_place_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    temporary._remove_abandoned.cache_clear()


def holder(place: Path) -> tuple[subprocess.Popen[str], Path]:
    environment = {"TMPDIR": str(place), "PYTHONPATH": child_python_path()}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", HOLD], **pipes, text=True, env=environment)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_it_is_gone_after_the_block(tmp_path: Path) -> None:
    with temporary_folder() as folder:
        assert folder.parent == tmp_path
        (folder / "file").touch()
    assert not list(tmp_path.iterdir())


def test_the_next_process_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    killed, left = holder(tmp_path)
    alive, kept = holder(tmp_path)
    (tmp_path / "fiat-color-00000000-1-1-elsewhere").mkdir()  # of another machine on a shared disk
    killed.kill()
    killed.wait()
    assert (left / "master.tif").exists()
    with temporary_folder() as folder:
        names = {path.name for path in tmp_path.iterdir()}
    assert names == {folder.name, kept.name, "fiat-color-00000000-1-1-elsewhere"}
    alive.communicate("")
    assert not kept.exists()
