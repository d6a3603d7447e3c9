"""Turns among the processes of pytest-xdist: while a test marked `alone` runs, no other test runs."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def turn(folder: Path, alone: bool) -> Iterator[None]:
    """Hold a turn: any number of tests share one, except a test that runs alone.

    Args:
        folder: for the lock files, the same for every process.
        alone: whether to wait until no test runs, and to let no other test begin.
    """
    with (folder / "queue").open("w") as queue, (folder / "turn").open("w") as held:
        fcntl.flock(queue, fcntl.LOCK_EX)  # who waits here comes after who waits for a turn
        fcntl.flock(held, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(queue, fcntl.LOCK_UN)
        yield
