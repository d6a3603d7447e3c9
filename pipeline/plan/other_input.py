"""Refuse a second input for one output if its photographs have the same names as the first one's.

Ledger and results identify a source by its key below the input. A photograph with the same key in a second
folder would therefore count as a new version of the first one: its result would overwrite the first one's, or
supersede it. An archive that was moved also has the same keys and must keep working; its photographs have the
same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.errors import AccessDenied, ConfigError, ObjectChanged, ObjectDamaged, ObjectMissing
from pipeline.ledger.newest import newest_of_all_jobs
from pipeline.ledger.read import read_part, stream_parts
from pipeline.plan.identities import hash_keys, hash_texts
from pipeline.plan.ledger_rows import InputParts, is_elsewhere
from pipeline.plan.objects import Objects
from pipeline.storage import ObjectInfo, Store
from pipeline.storage.ranges import RangedObject

#: `source`: hash of the key; `identity`: of key and ETag; `elsewhere`: of another input; `part` is an index
#: into `InputParts.keys`, `row` one into the part.
_CLAIMS = pa.schema(
    [
        ("source", pa.int64()),
        ("identity", pa.int64()),
        ("bytes", pa.int64()),
        ("finished_at", pa.int64()),
        ("elsewhere", pa.bool_()),
        ("part", pa.int32()),
        ("row", pa.int32()),
    ]
)
_SAMPLES = 16  # photographs to read if all have the size in the ledger
_NAMED = 3  # keys in the message
_CHUNK = 8 * 2**20
#: Errors of a source that gets no result and so replaces no other one.
_UNREADABLE = (ObjectMissing, ObjectChanged, ObjectDamaged, AccessDenied)


def refuse_other_input(
    source: Store, out: Store, inputs: InputParts, objects: Objects, todo: NDArray[np.int64]
) -> None:
    """Refuse to colour photographs with the same keys as another input's, unless they have the same bytes.

    For each key the newest row of all job digests counts. All sizes are compared. If they are equal, up to 16
    photographs, evenly spread in key order, are read and compared with the SHA-256 in the ledger.

    Args:
        objects, todo: the listed objects, and the indices of those to colour, ascending.

    Raises:
        ConfigError: some are different photographs; the message says what to do.
        DamagedLedgerPart, StorageError: ledger or source cannot be read.
    """
    if not inputs.elsewhere or not len(todo):
        return
    ledger = _Ledger(out, source.uri, inputs)
    hashes = hash_texts(key.encode() for key in objects.keys.take(todo))
    order = np.argsort(hashes)
    claims = ledger.claims(hashes[order])
    indices = todo[order[np.searchsorted(hashes[order], claims["source"].to_numpy())]]
    new = claims["identity"].to_numpy() != objects.identities[indices]
    indices, claims = indices[new], claims.filter(pa.array(new))
    other = indices[claims["bytes"].to_numpy() != objects.sizes[indices]]
    if not len(other):
        other = _of_other_bytes(source, ledger, objects, indices, claims)
    if len(other):
        before = ledger.row(claims, 0)["input"]
        raise ConfigError(_refusal(source.uri, out.uri, before, objects.keys.take(np.sort(other))))


@dataclass(frozen=True)
class _Ledger:
    """The ledger below OUT as the present input sees it."""

    out: Store
    input: str
    parts: InputParts

    def claims(self, sources: NDArray[np.int64]) -> pa.Table:
        """_CLAIMS: of each of the sources (hashes, ascending) the newest row, where it is of another input.

        Reads the parts with rows of another input first: usually none of their sources is to be coloured.
        """
        theirs = self._read(self.parts.elsewhere, sources)
        if not theirs.num_rows:
            return theirs
        known = {*self.parts.elsewhere}
        others = [key for key in self.parts.keys if key not in known]
        both = pa.concat_tables([theirs, self._read(others, np.unique(theirs["source"].to_numpy()))])
        newest = newest_of_all_jobs(both.sort_by([("part", "ascending"), ("row", "ascending")]), ["source"])
        return newest.filter(newest["elsewhere"])

    def _read(self, keys: Sequence[str], sources: NDArray[np.int64]) -> pa.Table:
        numbers = {key: number for number, key in enumerate(self.parts.keys)}
        tables = [_CLAIMS.empty_table()]
        read = stream_parts(self.out, keys, ("key", "etag", "bytes", "finished_at", "input"))
        for key, table in zip(keys, read, strict=True):
            texts = table["key"].to_pylist()
            of_source = hash_texts(text.encode() for text in texts)
            columns = [
                of_source,
                hash_keys(texts, table["etag"].to_pylist()),
                table["bytes"],
                table["finished_at"].cast(pa.int64()),
                is_elsewhere(table["input"], self.input),
                np.full(len(texts), numbers[key], np.int32),
                np.arange(len(texts), dtype=np.int32),
            ]
            tables.append(pa.table(columns, schema=_CLAIMS).filter(pa.array(np.isin(of_source, sources))))
        return pa.concat_tables(tables).combine_chunks()

    def row(self, claims: pa.Table, number: int) -> dict[str, str | None]:
        """Input and SHA-256 of the source in the ledger row of a claim."""
        part, row = (claims[name][number].as_py() for name in ("part", "row"))
        rows = read_part(self.out, self.parts.keys[part], ("input", "source_sha256"))
        found: dict[str, str | None] = rows.slice(row, 1).to_pylist()[0]
        return found


def _of_other_bytes(
    source: Store, ledger: _Ledger, objects: Objects, indices: NDArray[np.int64], claims: pa.Table
) -> NDArray[np.int64]:
    """From a sample of these objects, those whose SHA-256 differs from the row that claims their key."""
    order = np.argsort(indices)
    spread = np.unique(np.linspace(0, len(order) - 1, min(_SAMPLES, len(order))).astype(np.int64))
    samples = order[spread].tolist()
    recorded = [ledger.row(claims, number)["source_sha256"] for number in samples]
    other = [
        int(indices[number])
        for number, sha256 in zip(samples, recorded, strict=True)
        if sha256 is not None and _sha256_of(source, objects[int(indices[number])]) not in (sha256, None)
    ]
    return np.array(other, np.int64)


def _sha256_of(source: Store, info: ObjectInfo) -> str | None:
    """The SHA-256 in hex; None if the object cannot be read and so gets no result."""
    digest = hashlib.sha256()
    try:
        for chunk in _chunks(source, info):
            digest.update(chunk)
    except _UNREADABLE:
        return None
    return digest.hexdigest()


def _chunks(source: Store, info: ObjectInfo) -> Iterator[bytes]:
    file = RangedObject(source, info)
    while chunk := file.read(_CHUNK):
        yield chunk


def _refusal(present: str, out: str, before: str | None, keys: Sequence[str]) -> str:
    named = ", ".join(repr(key) for key in keys[:_NAMED]) + (", ..." if len(keys) > _NAMED else "")
    return (
        f"{named} of {present} are not the images with the same names from {before}, whose results are in "
        f"{out}; give each input its own output, or add --set plan.replace_input=true if this input "
        "replaces that one"
    )
