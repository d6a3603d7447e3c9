"""Reading objects again, in constant memory, and comparing their SHA-256 with what is expected."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pyarrow as pa

from pipeline.errors import ObjectChanged, ObjectMissing, StorageError
from pipeline.storage import ObjectInfo, Store
from pipeline.storage.ranges import RangedObject
from pipeline.verify.expected import stop_or_find
from pipeline.verify.findings import Finding, Found, findings_table

#: Bytes held of an object at a time.
_CHUNK = 8 * 2**20


class Kind(NamedTuple):
    """How findings about one kind of object are called."""

    missing: Finding
    changed: Finding
    unreadable: Finding


OUTPUTS = Kind(Finding.MISSING, Finding.CHANGED, Finding.UNREADABLE)
SOURCES = Kind(Finding.SOURCE_MISSING, Finding.SOURCE_CHANGED, Finding.SOURCE_UNREADABLE)


class Checked(NamedTuple):
    """What became of one shard: FINDINGS_SCHEMA, and how many objects and bytes were read."""

    findings: pa.Table
    objects: int
    bytes: int


def sha256_of(store: Store, info: ObjectInfo) -> bytes:
    """The digest of the listed object; raises as `chunks_of` does."""
    digest = hashlib.sha256()
    for chunk in chunks_of(store, info):
        digest.update(chunk)
    return digest.digest()


def chunks_of(store: Store, info: ObjectInfo) -> Iterator[bytes]:
    """The listed object, range by range.

    Raises:
        ObjectChanged: it is no longer the listed version. StorageError: it cannot be read.
    """
    file = RangedObject(store, info)
    while chunk := file.read(_CHUNK):
        yield chunk
    if file.bytes_read != info.bytes:
        raise ObjectChanged(f"{info.key} has {file.bytes_read} bytes, not the {info.bytes} listed")


def check_shard(store: Store, shard: pa.Table, kind: Kind, threads: int) -> Checked:
    """Hash every object of `shard` (LISTED_SCHEMA and `sha256`, not null), `threads` at a time.

    Raises:
        StorageError: the store as a whole cannot be read.
    """
    rows = shard.to_pylist()
    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(lambda row: _check(store, kind, **row), rows))
    findings = findings_table(row for row in found if row)
    return Checked(findings, len(rows), sum(row["bytes"] for row in rows))


def _check(store: Store, kind: Kind, key: str, etag: str, bytes: int, sha256: bytes) -> Found | None:
    return check(store, kind, ObjectInfo(key, etag, bytes), sha256.hex())


def check(
    store: Store,
    kind: Kind,
    info: ObjectInfo,
    expected: str,
    read: Callable[[Store, ObjectInfo], bytes] = sha256_of,
) -> Found | None:
    """What is wrong with one object, None where its digest is as expected (hex).

    Args:
        read: reads the object and returns its digest; raises as `sha256_of` does.

    Raises:
        StorageError: the store as a whole cannot be read.
    """
    try:
        found = read(store, info).hex()
    except ObjectMissing:
        return Found(info.key, kind.missing, "it was listed and is gone, or is no regular file", expected)
    except ObjectChanged:
        return Found(info.key, kind.changed, "it was replaced while it was read: try again", expected)
    except StorageError as error:
        return stop_or_find(store, error, Found(info.key, kind.unreadable, str(error), expected))
    if found == expected:
        return None
    return Found(info.key, kind.changed, "its bytes are not those that the ledger records", expected, found)
