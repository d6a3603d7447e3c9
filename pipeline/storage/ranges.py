"""A stored object as a file that is read in ranges, so that a column costs only its own bytes."""

from __future__ import annotations

import io
import os

from pipeline.storage.base import ObjectInfo, Store


class RangedObject(io.RawIOBase):
    """Read-only and seekable; each read is one GET of exactly these bytes. `bytes_read` counts them.

    A read raises ObjectChanged if the object is no longer the listed version, and StorageError as the store
    does.
    """

    def __init__(self, store: Store, info: ObjectInfo) -> None:
        super().__init__()
        self._store, self._info, self._position = store, info, 0
        self.bytes_read = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._info.bytes}[whence]
        self._position = max(0, base + offset)
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        left = max(0, self._info.bytes - self._position)
        wanted = left if size is None or size < 0 else min(size, left)
        if not wanted:
            return b""
        got = self._store.get(
            self._info.key,
            if_etag=self._info.etag,
            start=self._position,
            max_bytes=wanted,
            size=self._info.bytes,
        ).data
        self._position += len(got)
        self.bytes_read += len(got)
        return got

    def readall(self) -> bytes:
        return self.read()
