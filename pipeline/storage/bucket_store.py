"""Base class of the Google Cloud and Azure stores: keys, retries, and checks of the bytes read.

Each store is a `BucketStore` subclass that implements the requests of its cloud.
"""

from __future__ import annotations

import hashlib
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from mmap import mmap
from pathlib import Path
from typing import NamedTuple, TypeVar

from pipeline.config.storage import StorageConfig
from pipeline.errors import AlreadyExists, ObjectMissing, StorageError
from pipeline.storage.base import GetResult, ObjectInfo, check_key, damaged, printable, wrong_md5

T = TypeVar("T")

#: Files from this size on are uploaded in parts of it.
PART_BYTES = 16 * 2**20
#: Tries of an early check: a mistyped host name should cost seconds, not all retries of a run.
_CHECK_TRIES = 2
#: How often to read an object with wrong bytes: usually the transfer is faulty, not the object.
_WRONG_TRIES = 5
_LONGEST_PAUSE = 20.0  # seconds


class Transient(StorageError):
    """No answer, or the server is busy or has an internal error: worth a retry."""


class PreconditionFailed(StorageError):
    """The condition of a request does not hold."""


class Body(NamedTuple):
    """The result of a read: `etag` identifies the version, `total` is the size of the whole object, `md5` its
    MD5 in hex, or None if the server states none."""

    data: bytes
    etag: str
    total: int
    content_type: str | None = None
    md5: str | None = None


class BucketStore(ABC):
    """See `Store`. Holds no connection, so it can be pickled; every process opens its own."""

    scheme: str

    def __init__(self, bucket: str, prefix: str, config: StorageConfig) -> None:
        self.bucket = bucket
        self.prefix = f"{prefix}/" if prefix else ""
        self.config = config

    @abstractmethod
    def _listed(self, start: str) -> Iterator[ObjectInfo]:
        """All objects whose full name begins with `start`, with full names, in the server's order."""

    @abstractmethod
    def _read(self, name: str, start: int, count: int | None, etag: str | None) -> Body:
        """Up to `count` bytes from `start` on; empty after the end. Raises ObjectChanged if the object does
        not have the version `etag`."""

    @abstractmethod
    def _write(self, name: str, data: bytes, content_type: str | None, absent: bool) -> None:
        """Write atomically. `absent`: only if the object does not exist, else raise PreconditionFailed."""

    @abstractmethod
    def _write_file(self, name: str, path: Path, content_type: str | None) -> None:
        """Write a file in parts; the object appears only with the last part."""

    @abstractmethod
    def _is_archived(self, name: str) -> bool:
        """Whether it must be restored before it can be read. Raises ObjectMissing."""

    @abstractmethod
    def _remove(self, name: str) -> None:
        """Delete. Raises ObjectMissing."""

    @abstractmethod
    def _ask_to_list(self) -> None:
        """Make one request that needs only permission to list."""

    @abstractmethod
    def _ask_to_write(self, name: str) -> None:
        """Make requests that need only permission to write, and that leave no object behind."""

    @property
    def uri(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.prefix}".rstrip("/")

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """As in `Store`.

        Raises:
            StorageError: the server does not list in code point order, as with accounts that have a
                hierarchical namespace. A plan could then not tell what is done.
        """
        before = ""
        for info in self._listed(self.prefix + prefix):
            if info.key == self.prefix:  # skip the marker of the root folder itself
                continue
            if info.key < before:
                raise StorageError(
                    f"{self.uri} lists {printable(info.key)} after {printable(before)}, which is not in "
                    "code point order; give a bucket without a hierarchical namespace"
                )
            before = info.key
            yield info._replace(key=info.key[len(self.prefix) :])

    def get(
        self,
        key: str,
        *,
        if_etag: str | None = None,
        start: int = 0,
        max_bytes: int | None = None,
        size: int | None = None,
    ) -> GetResult:
        count = None if max_bytes is None else max(max_bytes, 1)
        for tried in range(_WRONG_TRIES):
            body = self._again(lambda: self._read(self.prefix + key, start, count, if_etag))
            wrong = self._difference(body, start, count, size)
            if wrong is None:
                md5 = body.md5 if self.config.verify_reads else None
                return GetResult(body.data, body.etag, body.content_type, md5)
            time.sleep(0.1 * 2**tried)
        raise damaged(self._name(key), wrong or "", _WRONG_TRIES)

    def _difference(self, body: Body, start: int, count: int | None, size: int | None) -> str | None:
        """How the bytes read differ from those stored, in words; None if they do not."""
        total = body.total if size is None else size
        wanted = max(0, total - start) if count is None else min(count, max(0, total - start))
        if len(body.data) != wanted:
            return f"{len(body.data):,} bytes were read, but {wanted:,} are stored"
        if not self.config.verify_reads or body.md5 is None or len(body.data) != body.total:
            return None
        md5 = hashlib.md5(body.data, usedforsecurity=False).hexdigest()
        return None if md5 == body.md5 else wrong_md5(md5, body.md5)

    def put(self, key: str, data: bytes, content_type: str | None = None) -> None:
        check_key(key)
        self._again(lambda: self._write(self.prefix + key, data, content_type, False))

    def put_file(self, key: str, path: Path, content_type: str | None = None) -> None:
        if path.stat().st_size < PART_BYTES:
            self.put(key, path.read_bytes(), content_type)
            return
        check_key(key)
        self._again(lambda: self._write_file(self.prefix + key, path, content_type))

    def put_if_absent(self, key: str, data: bytes, content_type: str | None = None) -> None:
        check_key(key)
        in_doubt = False  # whether an earlier request may have succeeded although its answer was lost

        def put() -> None:
            nonlocal in_doubt
            try:
                self._write(self.prefix + key, data, content_type, True)
            except Transient:
                in_doubt = True
                raise

        try:
            self._again(put)
        except PreconditionFailed:
            if not (in_doubt and self._holds(key, data)):
                raise AlreadyExists(f"{self._name(key)} already exists") from None

    def _holds(self, key: str, data: bytes) -> bool:
        try:
            return self.get(key).data == data
        except ObjectMissing:
            return False

    def fits_parts(self, key: str, data: bytes | mmap, etag: str) -> bool:
        """True, because these clouds do not reveal the parts of an upload."""
        return True

    def exists(self, key: str) -> bool:
        try:
            self._again(lambda: self._is_archived(self.prefix + key))
        except ObjectMissing:
            return False
        return True

    def is_restored(self, key: str) -> bool:
        return not self._again(lambda: self._is_archived(self.prefix + key))

    def delete(self, key: str) -> None:
        try:
            self._again(lambda: self._remove(self.prefix + key))
        except ObjectMissing:
            return

    def drop_empty_folders(self, folder: str) -> None:
        """Nothing to do: a prefix without objects does not exist."""
        return

    def comparable(self, key: str) -> str:
        return key

    def check_readable(self) -> None:
        self._again(self._ask_to_list, _CHECK_TRIES)

    def check_writable(self, *, make: bool = True) -> None:
        self._again(lambda: self._ask_to_write(f"{self.prefix}write-check"), _CHECK_TRIES)

    def _again(self, request: Callable[[], T], tries: int | None = None) -> T:
        """The answer, after as many tries as the configuration allows, with growing pauses."""
        tries = tries or self.config.retries + 1
        for tried in range(tries - 1):
            try:
                return request()
            except Transient:
                time.sleep(min(_LONGEST_PAUSE, 0.2 * 2**tried) * random.uniform(0.5, 1.0))
        return request()

    def _name(self, key: str) -> str:
        return printable(f"{self.scheme}://{self.bucket}/{self.prefix}{key}")
