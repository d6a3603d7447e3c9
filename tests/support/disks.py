"""File systems that are full or that nobody may write to, whoever asks: a mode does not bind root."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, kibibytes: int) -> Iterator[Path]:
    """A file system of so many KiB in memory, mounted at `folder`; the test is skipped where none may be."""
    folder.mkdir()
    options = f"size={kibibytes}k"
    try:
        mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        done = subprocess.run(mount, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no `mount` here")
    if done.returncode:
        pytest.skip(f"nothing may be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def make_read_only(disk: Path) -> None:
    """From now on nothing can be written to a mounted file system."""
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
