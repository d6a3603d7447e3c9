"""Merge: many small ledger parts become few large ones by themselves, and no row is ever missing.

A ledger of a hundred million images has 200,000 parts, and each plan reads all. A merged part holds the rows
of many under a key of its own, and in its Parquet metadata the digest of each part that it was made of. It is
written before anything is removed. What it was made of is removed by a later run, `GRACE` after it was
written, for a job that listed the parts before may still read them; and only if the merged part, read again,
has the rows and the part is the same as it was. In between a row is there twice, which `newest` sorts out
like any other two rows for one image. A shard whose part was removed may be committed again by a worker that
was slow: its rows are a part again, later ones, and they count, for its images were put last.
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

#: Parts that are in no merged one, from which on they are merged; most rows of a merged one, 60 MB in memory.
MOST_PARTS, MOST_ROWS = 2000, 250_000
GRACE = timedelta(hours=12)
_MERGED = re.compile(r".*/part-merged-(\d{8}T\d{6})-([0-9a-f]{16})\.parquet")
_METADATA = b"fiat-color.parts"
_TAIL = 2**18
_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Merged:
    """A merged part: when it was written, and by the key of each part in it the SHA-256 of its bytes."""

    key: str
    written: datetime
    parts: dict[str, str]


def merge_parts(out: Store, job_digest: str, now: datetime | None = None) -> None:
    """Merge the parts of a job digest if there are many, and remove those that were merged a while ago.

    Whoever calls holds the lease of OUT. Where the store lets nothing be removed, all parts stay, and none is
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
    """What a merged part is made of, from the end of its file; of nothing, where somebody wrote it anew."""
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
        read_part(out, info.key)  # raises where it is damaged
        return Merged(info.key, _NEVER, {})


def _remove(out: Store, merged: Merged, keys: list[str]) -> bool:
    """Remove the parts that the merged one holds; False where the store allows no removal.

    The merged part is read whole before, and must be what was written, to the byte: the store may have
    acknowledged what it does not have. A part of the same key and other bytes is a later commit of its shard,
    and stays.
    """
    _, data = read_part_and_bytes(out, merged.key)
    if f"-{_sha256(data)[:16]}." not in merged.key:
        raise DamagedLedgerPart(
            f"the ledger part {merged.key} in {out.uri} is not as it was written, and {len(keys)} of the "
            "parts that it was made of are still there; restore it from a backup"
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
