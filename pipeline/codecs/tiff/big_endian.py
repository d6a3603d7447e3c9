"""Make Pillow read big-endian BigTIFF: it looks for the version at the wrong place."""

from __future__ import annotations

from typing import Any

BIG_ENDIAN_BIG = b"MM\x00+"


class _BigEndianHead(bytes):
    """The first bytes of a big-endian BigTIFF: Pillow looks for the version where other files have it."""

    def __getitem__(self, key: Any) -> Any:
        return 43 if key == 2 else super().__getitem__(key)

    def __add__(self, other: Any) -> Any:
        return _BigEndianHead(super().__add__(other))


class BigEndianFile:
    """A file whose header Pillow recognises correctly."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        start = self._file.tell() == 0
        data: bytes = self._file.read(size)
        return _BigEndianHead(data) if start else data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
