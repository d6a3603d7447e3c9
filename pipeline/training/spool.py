"""Rows that come by folder and leave mixed: training reads row groups, and each should be like the whole."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO, Any

_FILES = 64  # each is sorted in memory: of a million photographs, 400 MB


class Spool:
    """Rows of training photographs in temporary files, as large as they are, given back in the order of their
    `sha256`: random for all that matters, and the same in every preparation. A context manager."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._files: list[IO[bytes]] = []

    def __enter__(self) -> Spool:
        for _ in range(_FILES):
            self._files.append(self._stack.enter_context(tempfile.TemporaryFile()))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, row: dict[str, Any]) -> None:
        """Keep a row; `sha256` is 64 hexadecimal digits. Raises OSError where the disk is full."""
        pickle.dump(row, self._files[int(row["sha256"][:4], 16) * _FILES >> 16])

    def rows(self, size: int) -> Iterator[list[dict[str, Any]]]:
        """All rows in order, in lists of `size`; the last may be shorter."""
        taken: list[dict[str, Any]] = []
        for file in self._files:
            for row in sorted(_read(file), key=lambda row: str(row["sha256"])):
                taken.append(row)
                if len(taken) == size:
                    yield taken
                    taken = []
        if taken:
            yield taken


def _read(file: IO[bytes]) -> Iterator[dict[str, Any]]:
    file.seek(0)
    while True:
        try:
            yield pickle.load(file)
        except EOFError:
            return
