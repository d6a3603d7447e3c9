"""Shuffle training rows on disk: training reads row groups, and each should be like the whole set."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, Any

from pipeline.errors import StorageError

_FILES = 64  # each is sorted in memory: of a million photographs, 400 MB


class RowShuffler:
    """Keeps training rows in temporary files and returns them in the order of their `sha256`, which is as
    good as random and the same in every preparation. The files need as much space as the rows. Use it as a
    context manager."""

    def __init__(self) -> None:
        self._files: list[IO[bytes]] = []

    def __enter__(self) -> RowShuffler:
        for _ in range(_FILES):
            self._files.append(tempfile.TemporaryFile())
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files:
            with suppress(OSError):  # of a full disk, which `add` or `rows` has reported
                file.close()

    def add(self, row: dict[str, Any]) -> None:
        """Keep a row; `sha256` is 64 hexadecimal digits. Raises StorageError where the disk has no room."""
        try:
            pickle.dump(row, self._files[int(row["sha256"][:4], 16) * _FILES >> 16])
        except OSError as error:
            raise _no_room(error) from None

    def rows(self, size: int) -> Iterator[list[dict[str, Any]]]:
        """All rows in order, in lists of `size`; the last may be shorter. Raises as `add`."""
        try:
            for file in self._files:
                file.flush()
        except OSError as error:
            raise _no_room(error) from None
        chunk: list[dict[str, Any]] = []
        for file in self._files:
            for row in sorted(_read(file), key=lambda row: str(row["sha256"])):
                chunk.append(row)
                if len(chunk) == size:
                    yield chunk
                    chunk = []
        if chunk:
            yield chunk


def _no_room(error: OSError) -> StorageError:
    return StorageError(
        f"photographs cannot be stored in {tempfile.gettempdir()} until all are read ({error.strerror}): "
        "it needs as much space as the result; set TMPDIR to a folder that has it"
    )


def _read(file: IO[bytes]) -> Iterator[dict[str, Any]]:
    file.seek(0)
    while True:
        try:
            yield pickle.load(file)
        except EOFError:
            return
