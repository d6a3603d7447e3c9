"""Temporary files of a local store, whose names listings omit, and removing those of dead writers."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from uuid import uuid4

from pipeline.storage.machine import MARK, is_dead, process_mark

_NAME = re.compile(rf"\.fiat-(?:({MARK})-)?[0-9a-f]{{32}}\.tmp")
_OLD_SECONDS = 24 * 3600  # age limit if the writer is unknown: on another machine, or an earlier version


def half_written_name() -> str:
    """A unique name that contains the mark of this process."""
    return f".fiat-{process_mark()}-{uuid4().hex}.tmp"


def is_half_written(name: str) -> bool:
    """Whether a file of this name is being written or was left half-written."""
    return _NAME.fullmatch(name) is not None


def remove_half_written(root: Path) -> int:
    """Remove files below a folder that dead processes of this machine left, and those of others after a day.

    Follows symbolic links to folders. Leaves files of other users.

    Returns:
        The number of removed files.

    Raises:
        OSError: as `Path.unlink`, except for a missing file or one that may not be removed.
    """
    removed, visited = 0, set[tuple[int, int]]()
    for folder, below, names in os.walk(root, followlinks=True):
        status = Path(folder).stat()
        if (status.st_dev, status.st_ino) in visited:  # a link to a parent folder
            below.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        removed += sum(_remove(Path(folder, name)) for name in names if name.startswith(".fiat-"))
    return removed


def _remove(path: Path) -> bool:
    match = _NAME.fullmatch(path.name)
    if match is None:
        return False
    try:
        dead = is_dead(match[1]) if match[1] else None
        if dead is None:
            dead = time.time() - path.stat().st_mtime > _OLD_SECONDS
        if dead:
            path.unlink()
    except (FileNotFoundError, PermissionError):
        return False
    return dead
