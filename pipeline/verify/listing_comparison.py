"""Compare existing objects with expected ones: missing, unexpected, and those to hash."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.storage import ObjectInfo

LISTED_SCHEMA = pa.schema([("key", pa.large_string()), ("etag", pa.string()), ("bytes", pa.int64())])
_BATCH = 10_000
#: Most objects and bytes that a worker hashes before it reports, so that progress moves and a lost worker
#: costs little.
_SHARD_OBJECTS, _SHARD_BYTES = 512, 256 * 2**20
#: With few objects, shards are smaller, so that all workers have something to do.
_SHARDS_PER_WORKER = 4


class Comparison(NamedTuple):
    """`missing`: EXPECTED_SCHEMA; `unexpected`: LISTED_SCHEMA; `both`: LISTED_SCHEMA and `sha256`; by key."""

    missing: pa.Table
    unexpected: pa.Table
    both: pa.Table


def listed_table(objects: Iterable[ObjectInfo]) -> pa.Table:
    """A listing as one table of LISTED_SCHEMA."""
    return pa.Table.from_batches(_batches(objects), schema=LISTED_SCHEMA)


def _batches(objects: Iterable[ObjectInfo]) -> Iterator[pa.RecordBatch]:
    rest = iter(objects)
    while batch := list(islice(rest, _BATCH)):
        rows = [(info.key, info.etag, info.bytes) for info in batch]
        columns = [
            pa.array(column, field.type)
            for column, field in zip(zip(*rows, strict=True), LISTED_SCHEMA, strict=True)
        ]
        yield pa.record_batch(columns, schema=LISTED_SCHEMA)


def compare(expected: pa.Table, listed: pa.Table) -> Comparison:
    """Join the two by key; each key occurs at most once in both."""
    at = pc.index_in(listed["key"], value_set=expected["key"])
    known = pc.is_valid(at)
    digests = expected["sha256"].take(at.filter(known))
    both = listed.filter(known).append_column("sha256", digests)
    missing = pc.invert(pc.is_in(expected["key"], value_set=listed["key"]))
    return Comparison(expected.filter(missing), listed.filter(pc.invert(known)), both)


def cut(sizes: NDArray[np.int64], workers: int) -> Iterator[tuple[int, int]]:
    """Consecutive spans [start, stop) of objects of these sizes; a larger object is a span of its own."""
    ends = np.cumsum(sizes)
    most = max(1, min(_SHARD_OBJECTS, -(-len(sizes) // (_SHARDS_PER_WORKER * workers))))
    start = 0
    while start < len(sizes):
        before = int(ends[start - 1]) if start else 0
        full = int(np.searchsorted(ends, before + _SHARD_BYTES, side="right"))
        stop = max(start + 1, min(start + most, full))
        yield start, stop
        start = stop
