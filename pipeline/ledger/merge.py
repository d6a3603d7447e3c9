"""Merge many small ledger parts into few large ones automatically, without ever losing a row.

A ledger of a hundred million images has 200,000 parts, and each plan reads them all. A merged part holds the
rows of many parts under its own key, and its Parquet metadata holds the digest of each of them. It is written
before any part is removed. A later run removes the original parts, `GRACE` after the merged part was written,
because a job that listed them earlier may still read them. It removes a part only if the merged part, read
again, has its rows and the part has not changed. In between, rows exist twice, and `newest` handles them like
any two rows for one image. A slow worker may commit a shard again after its part was removed. Its rows are
then a new part; they are later and count, because its images were written last.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import AccessDenied, DamagedLedgerPart
from pipeline.ledger.keys import is_part, ledger_folder, merged_key
from pipeline.ledger.read import map_parts, read_part, read_part_and_bytes
from pipeline.ledger.write import PARQUET, parquet_bytes
from pipeline.storage import ObjectInfo, Store

#: The number of unmerged parts from which on they are merged; the most rows of a merged part (60 MB in
#: memory).
MOST_PARTS, MOST_ROWS = 2000, 250_000
GRACE = timedelta(hours=12)
_MERGED = re.compile(r".*/part-merged-(\d{8}T\d{6})-([0-9a-f]{16})\.parquet")
_METADATA = b"fiat-color.parts"
_TAIL = 2**18
_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Merged:
    """A merged part: when it was written, and the SHA-256 of each part in it by key."""

    key: str
    written: datetime
    parts: dict[str, str]


def merge_parts(out: Store, job_digest: str, now: datetime | None = None) -> None:
    """Merge the parts of a job digest if there are many, and remove parts that were merged long enough ago.

    The caller must hold the lease of OUT. If the store does not allow removal, all parts stay and none is
    merged twice.

    Raises:
        DamagedLedgerPart: a part is damaged. StorageError: one cannot be read, written or removed.
    """
    now = now or datetime.now(UTC)
    listed = [info for info in out.list(ledger_folder(job_digest)) if is_part(info.key)]
    small = [info.key for info in listed if not _MERGED.fullmatch(info.key)]
    ledger = [_read_merged(out, info) for info in listed if _MERGED.fullmatch(info.key)] if small else []
    for one in ledger:
        present = one.parts.keys() & set(small)
        if present and one.written + GRACE <= now and not _remove(out, one, sorted(present)):
            break
    in_merged = {key for one in ledger for key in one.parts}
    left = [key for key in small if key not in in_merged]
    if len(left) >= MOST_PARTS:
        for group in _groups(out, left):
            _write(out, job_digest, group, now)


def _read_merged(out: Store, info: ObjectInfo) -> Merged:
    """The parts that a merged part contains, from the end of its file; empty if somebody rewrote the file."""
    tail = out.get(info.key, start=max(0, info.bytes - _TAIL)).data
    footer = int.from_bytes(tail[-8:-4], "little") + 8
    if len(tail) < footer <= info.bytes:
        tail = out.get(info.key, start=info.bytes - footer).data
    match = _MERGED.fullmatch(info.key)
    assert match is not None
    try:
        metadata = pq.read_metadata(io.BytesIO(tail)).metadata or {}
        written = datetime.strptime(match[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
        return Merged(info.key, written, dict(json.loads(metadata.get(_METADATA, b"{}"))))
    except (pa.ArrowException, OSError, ValueError, TypeError):
        read_part(out, info.key)  # raises if it is damaged
        return Merged(info.key, _NEVER, {})


def _remove(out: Store, merged: Merged, keys: list[str]) -> bool:
    """Remove the parts that the merged one contains; False if the store does not allow removal.

    The merged part is first read in full and must have exactly the bytes that were written, because a store
    may confirm a write and still lose it. A part with the same key and other bytes is a later commit of its
    shard and stays.
    """
    _, data = read_part_and_bytes(out, merged.key)
    if f"-{_sha256(data)[:16]}." not in merged.key:
        raise DamagedLedgerPart(
            f"the ledger part {merged.key} in {out.uri} has changed since it was written, and {len(keys)} of "
            "the parts merged into it still exist; restore it from a backup"
        )
    for key, digest in zip(keys, map_parts(lambda key: _sha256(out.get(key).data), keys), strict=True):
        if digest == merged.parts[key]:
            try:
                out.delete(key)
            except AccessDenied:
                return False
    return True


def _groups(out: Store, keys: Iterable[str]) -> Iterator[list[tuple[str, str, pa.Table]]]:
    """Parts in the order of their keys, with the SHA-256 of each, up to MOST_ROWS rows together."""
    group: list[tuple[str, str, pa.Table]] = []
    rows = 0

    def read(key: str) -> tuple[str, str, pa.Table]:
        table, data = read_part_and_bytes(out, key)
        return key, _sha256(data), table

    for part in map_parts(read, keys):
        if group and rows + part[2].num_rows > MOST_ROWS:
            yield group
            group, rows = [], 0
        group.append(part)
        rows += part[2].num_rows
    if group:
        yield group


def _write(out: Store, job_digest: str, group: list[tuple[str, str, pa.Table]], now: datetime) -> None:
    parts = json.dumps({key: digest for key, digest, _ in group})
    table = pa.concat_tables(table for _, _, table in group).combine_chunks()
    data = parquet_bytes(table.replace_schema_metadata({_METADATA: parts.encode()}))
    key = merged_key(job_digest, f"{now:%Y%m%dT%H%M%S}", _sha256(data)[:16])
    out.put(key, data, PARQUET)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
