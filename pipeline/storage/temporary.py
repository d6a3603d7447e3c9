"""Temporary folders that do not stay for ever: the next process removes those of dead processes.

A killed worker cannot clean up, and the master that it was colouring may have gigabytes.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from pipeline.storage.machine import MARK, is_dead, process_mark

_NAME = re.compile(rf"fiat-color-({MARK})-.*")


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder in TMPDIR that is removed after the block, or by a later process if this one dies.

    Raises:
        OSError: it cannot be made.
    """
    place = Path(tempfile.gettempdir())
    _remove_abandoned(place)
    with tempfile.TemporaryDirectory(prefix=f"fiat-color-{process_mark()}-", dir=place) as name:
        yield Path(name)


@cache  # once in each process
def _remove_abandoned(place: Path) -> None:
    for entry in os.scandir(place):
        name = _NAME.fullmatch(entry.name)
        if name and is_dead(name[1]):
            shutil.rmtree(entry.path, ignore_errors=True)  # folders of other users stay
