"""The interface of all stores, and the keys that all of them can hold."""

from __future__ import annotations

from collections.abc import Iterator
from mmap import mmap
from pathlib import Path
from typing import NamedTuple, Protocol

from pipeline.errors import BadKey, ObjectDamaged

#: Longest name between two slashes on common file systems (ext4, XFS, APFS, NTFS), bytes of UTF-8.
MAX_SEGMENT_BYTES = 255
#: Longest S3 object key, bytes of UTF-8, the store's prefix included.
MAX_KEY_BYTES = 1024


class ObjectInfo(NamedTuple):
    """One listed object: key below the store's root ("/" between parts), ETag without quotes, size.

    `archived`: the listing says that the object must be restored before it can be read. False is no
    guarantee, because a listing does not show the archive tiers of INTELLIGENT_TIERING. Always False in a
    folder.
    """

    key: str
    etag: str
    bytes: int
    archived: bool = False


class GetResult(NamedTuple):
    """The result of a get; `content_type` is None if the store keeps none (local folders).

    `md5`: of the whole object in hex, if the store states it. For a range nothing else can be checked.
    """

    data: bytes
    etag: str
    content_type: str | None
    md5: str | None = None


class Store(Protocol):
    """A folder or a bucket prefix. Keys are relative to it. All errors are `StorageError`s of one line."""

    @property
    def uri(self) -> str: ...

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """All objects whose key starts with `prefix`, in code point order, dotfiles and markers too."""

    def get(
        self,
        key: str,
        *,
        if_etag: str | None = None,
        start: int = 0,
        max_bytes: int | None = None,
        size: int | None = None,
    ) -> GetResult:
        """The object from byte `start` on, at most `max_bytes` bytes.

        The result is compared with `size`, the number of bytes in the listing, and a whole object with the
        store's checksum, if there is one. If they differ, the object is read again.

        Raises:
            ObjectChanged: its ETag is not `if_etag`. ObjectDamaged: the bytes differ on every try.
            ObjectMissing, ObjectArchived, AccessDenied: as they say.
        """

    def put(self, key: str, data: bytes, content_type: str | None = None) -> None:
        """Write or overwrite atomically: a reader sees the old object or the new one, never a part.

        Raises:
            BadKey: this store cannot hold the key. AccessDenied, StorageError: as they say.
        """

    def put_file(self, key: str, path: Path, content_type: str | None = None) -> None:
        """Like `put`, from a local file of any size, without holding all of it in memory.

        Raises:
            OSError: the file cannot be read. Others as `put`.
        """

    def put_if_absent(self, key: str, data: bytes, content_type: str | None = None) -> None:
        """Like `put`, but exactly one of several attempts succeeds.

        Raises:
            AlreadyExists: another attempt won. Not raised if an earlier try of this call succeeded and its
                answer was lost: the store then holds these bytes.
        """

    def fits_parts(self, key: str, data: bytes | mmap, etag: str) -> bool:
        """Whether the bytes of a whole object match the store's digests of the parts that it was uploaded in.

        Also True if the store has no such digests.
        """

    def exists(self, key: str) -> bool: ...

    def is_restored(self, key: str) -> bool:
        """Whether an object listed as archived can be read because a copy was restored.

        Raises:
            ObjectMissing, AccessDenied: as they say.
        """

    def delete(self, key: str) -> None:
        """Remove the object. A missing object is no error, as on S3."""

    def drop_empty_folders(self, folder: str) -> None:
        """Remove `folder` and folders below it that hold no objects. Buckets have no folders."""

    def comparable(self, key: str) -> str:
        """A text that is equal for two keys that mean the same object here. It is the key itself in a bucket
        and on most Linux file systems; otherwise without letter case or Unicode differences that the file
        system ignores."""

    def check_readable(self) -> None:
        """Raise ConfigError or StorageError, with one line for the user, if this cannot be listed."""

    def check_writable(self, *, make: bool = True) -> None:
        """Likewise if nothing can be written here. Creates a missing local folder unless `make` is false, but
        never a bucket."""


def printable(text: str) -> str:
    """The text on one line: control characters and lone surrogates as escapes."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


#: How an object uploaded in parts differs, in words.
OTHER_PARTS = "the MD5s of its parts differ from those that the server states"


def damaged(name: str, difference: str, times: int) -> ObjectDamaged:
    """The error for an object that was read this many times and always had other bytes than were stored."""
    return ObjectDamaged(
        f"{name} is damaged in the store or on the way from it: {difference}; it was read {times} times; "
        "restore it from a backup, or check the network in between"
    )


def wrong_md5(md5: str, stated: str) -> str:
    """How the MD5 of an object differs, in words."""
    return f"the MD5 of its bytes is {md5}, and the server states {stated}"


def check_key(key: str) -> None:
    """Refuse keys that not every store can hold, so that a job gives the same rows with S3 and with a folder.

    Raises:
        BadKey: empty, absolute, with an empty, "." or ".." part, NUL, a lone surrogate, or too long.
    """
    try:
        encoded = key.encode()
    except UnicodeEncodeError:
        raise BadKey(f"the key {key!a} is not valid Unicode") from None
    if not key or "\0" in key:
        raise BadKey(f"the key {key!r} is empty or holds a NUL character")
    for part in encoded.split(b"/"):
        if part in (b"", b".", b".."):
            raise BadKey(f"the key {key!r} has the part {part.decode()!r}, which a folder cannot hold")
        if len(part) > MAX_SEGMENT_BYTES:
            raise BadKey(f"the key {key[:60]!r}... has a part of over {MAX_SEGMENT_BYTES} bytes")
    if len(encoded) > MAX_KEY_BYTES:
        raise BadKey(f"the key {key[:60]!r}... has over {MAX_KEY_BYTES} bytes")
