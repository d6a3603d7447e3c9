"""Read objects again in constant memory, and compare their SHA-256 with the expected one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pyarrow as pa

from pipeline.errors import ObjectChanged, ObjectMissing, StorageError
from pipeline.storage import ObjectInfo, Store
from pipeline.storage.ranges import RangedObject
from pipeline.verify.expected import finding_unless_store_fails
from pipeline.verify.findings import Finding, FindingCode, findings_table

#: Bytes of an object held in memory at a time.
_CHUNK = 8 * 2**20


class ObjectCodes(NamedTuple):
    """The codes of findings about one kind of object."""

    missing: FindingCode
    changed: FindingCode
    unreadable: FindingCode


OUTPUT_CODES = ObjectCodes(FindingCode.MISSING, FindingCode.CHANGED, FindingCode.UNREADABLE)
SOURCE_CODES = ObjectCodes(
    FindingCode.SOURCE_MISSING, FindingCode.SOURCE_CHANGED, FindingCode.SOURCE_UNREADABLE
)


class ShardCheck(NamedTuple):
    """The result of one shard: FINDINGS_SCHEMA, and how many objects and bytes were read."""

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


def check_shard(store: Store, shard: pa.Table, codes: ObjectCodes, threads: int) -> ShardCheck:
    """Hash every object of `shard` (LISTED_SCHEMA and `sha256`, not null), `threads` at a time.

    Raises:
        StorageError: the store as a whole cannot be read.
    """
    rows = shard.to_pylist()
    with ThreadPoolExecutor(threads) as pool:
        findings = list(pool.map(lambda row: _check(store, codes, **row), rows))
    table = findings_table(finding for finding in findings if finding)
    return ShardCheck(table, len(rows), sum(row["bytes"] for row in rows))


def _check(
    store: Store, codes: ObjectCodes, key: str, etag: str, bytes: int, sha256: bytes
) -> Finding | None:
    return check(store, codes, ObjectInfo(key, etag, bytes), sha256.hex())


def check(
    store: Store,
    codes: ObjectCodes,
    info: ObjectInfo,
    expected: str,
    read: Callable[[Store, ObjectInfo], bytes] = sha256_of,
) -> Finding | None:
    """The finding about one object; None if its digest is the expected one (hex).

    Args:
        read: reads the object and returns its digest; raises as `sha256_of` does.

    Raises:
        StorageError: the store as a whole cannot be read.
    """
    try:
        digest = read(store, info).hex()
    except ObjectMissing:
        return Finding(info.key, codes.missing, "it was listed and is gone, or not a regular file", expected)
    except ObjectChanged:
        return Finding(info.key, codes.changed, "it was replaced while being read; try again", expected)
    except StorageError as error:
        finding = Finding(info.key, codes.unreadable, str(error), expected)
        return finding_unless_store_fails(store, error, finding)
    if digest == expected:
        return None
    return Finding(
        info.key, codes.changed, "its bytes are not those that the ledger records", expected, digest
    )
