"""Temporary folders that no death of a process leaves for ever: the next process removes those of the dead.

A worker that is killed cannot clean up, and a master that it was colouring may have gigabytes.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import psutil

from pipeline.storage.machine import is_alive, this_machine

_NAME = re.compile(r"fiat-color-[0-9a-f]{8}-(\d+)-(\d+)-.*")


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder in TMPDIR that is gone after the block, and after a process that died in it.

    Raises:
        OSError: it cannot be made.
    """
    place = Path(tempfile.gettempdir())
    _remove_abandoned(place)
    process = psutil.Process()
    prefix = f"{_prefix()}{process.pid}-{process.create_time():.0f}-"
    with tempfile.TemporaryDirectory(prefix=prefix, dir=place) as name:
        yield Path(name)


def _prefix() -> str:
    """With a mark of this machine: a disk may be shared, and a process id means nothing elsewhere."""
    return f"fiat-color-{hashlib.sha256(this_machine().encode()).hexdigest()[:8]}-"


@cache  # once in each process
def _remove_abandoned(place: Path) -> None:
    for entry in os.scandir(place):
        name = _NAME.fullmatch(entry.name) if entry.name.startswith(_prefix()) else None
        if name and not is_alive(int(name[1]), float(name[2])):
            shutil.rmtree(entry.path, ignore_errors=True)  # another user's stays
