"""Shards: the unit of work, retry, resume and commit."""

from __future__ import annotations

import hashlib
import io
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Protocol, overload

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.config.job import PlanConfig
from pipeline.ledger.write import PARQUET
from pipeline.records import ITEM_TYPE, PLAN_SCHEMA, Item
from pipeline.storage import Store

#: A job should have this many shards per worker; otherwise most workers idle while the last one finishes ...
_SHARDS_PER_WORKER = 4
#: ... but no shard should be smaller than this while every worker gets one: each costs a task and a part.
_LEAST_IMAGES = 4
#: Rows of the manifest that are written at a time, and the items of these rows from which on there are fewer.
_ROW_GROUP, _GROUP_ITEMS = 256, 2**12
#: Shards whose items are made at a time.
_TOGETHER = 8
#: Sizes that are Python's integers at a time.
_SIZES = 2**16


@dataclass(frozen=True)
class Shard:
    """Some objects of the plan, in key order. The id is a digest of the work: equal work has equal ids."""

    shard_id: str
    bytes: int
    items: list[Item]


class Items(Protocol):
    """The items of a plan, which are created on demand."""

    @property
    def sizes(self) -> NDArray[np.int64]:
        """The size of each item in bytes."""

    def take(self, indices: NDArray[np.int64]) -> list[Item]: ...


class Shards(Sequence[Shard]):
    """The shards of a plan. The items of a shard are created each time the shard is accessed."""

    def __init__(
        self, items: Items, order: NDArray[np.int64], ends: NDArray[np.int64], job_digest: str
    ) -> None:
        """Shard k has the items `order[ends[k - 1]:ends[k]]`, with 0 in place of ends[-1]."""
        self._items, self._order, self._job_digest = items, order, job_digest
        self._bounds = np.concatenate([np.zeros(1, np.int64), ends])
        self._ids: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._bounds) - 1

    @overload
    def __getitem__(self, index: int) -> Shard: ...
    @overload
    def __getitem__(self, index: slice) -> list[Shard]: ...
    def __getitem__(self, index: int | slice) -> Shard | list[Shard]:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            return list(self._made(start, stop)) if step == 1 else [self[i] for i in range(start, stop, step)]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return next(self._made(index % len(self), index % len(self) + 1))

    def __iter__(self) -> Iterator[Shard]:
        for start in range(0, len(self), _TOGETHER):
            yield from self[start : start + _TOGETHER]

    def __eq__(self, other: object) -> bool:
        """Whether the other sequence has equal shards in the same order."""
        if not isinstance(other, Sequence) or len(self) != len(other):
            return False
        return all(one == another for one, another in zip(self, other, strict=True))

    def items_at(self, positions: Sequence[int]) -> list[Item]:
        """The items at these positions of all shards' items, one shard after the other."""
        return self._items.take(self._order[list(positions)])

    def image_counts(self) -> dict[str, int]:
        """The number of images by shard id."""
        if len(self._ids) < len(self):
            for _ in self:  # the ids are kept
                pass
        return {self._ids[k]: int(n) for k, n in enumerate(np.diff(self._bounds))}

    def _made(self, start: int, stop: int) -> Iterator[Shard]:
        """The shards from `start` to `stop`; the items of all are looked up together."""
        if start >= stop:
            return
        first = int(self._bounds[start])
        items = self._items.take(self._order[first : self._bounds[stop]])
        for k in range(start, stop):
            own = items[self._bounds[k] - first : self._bounds[k + 1] - first]
            if k not in self._ids:
                self._ids[k] = _shard_id(own, self._job_digest)
            yield Shard(self._ids[k], sum(item.bytes for item in own), own)


class HasShards(Protocol):
    @property
    def shards(self) -> Sequence[Shard]: ...


def cut(items: Items, job_digest: str, config: PlanConfig, workers: int) -> Shards:
    """Cut the items into shards; each item is in exactly one shard, in the same order.

    A shard has at most `shard_images` items and `shard_bytes` bytes; a larger item gets its own shard. Small
    jobs get smaller shards, so that all workers have work and a killed run loses little.
    """
    wanted = -(-len(items.sizes) // (_SHARDS_PER_WORKER * workers))
    least = min(_LEAST_IMAGES, max(1, -(-len(items.sizes) // workers)))
    most = min(config.shard_images, max(least, wanted))
    order, ends = array("q"), array("q")
    for portion in _portions(items.sizes, most, config.shard_bytes):
        order.extend(portion)
        ends.append(len(order))
    return Shards(items, np.array(order, np.int64), np.array(ends, np.int64), job_digest)


def _portions(sizes: NDArray[np.int64], most_items: int, most_bytes: int) -> Iterator[list[int]]:
    """The indices of each shard's items; an item larger than a shard comes before the shard around it."""
    portion: list[int] = []
    total = 0
    for start in range(0, len(sizes), _SIZES):
        for index, size in enumerate(sizes[start : start + _SIZES].tolist(), start):
            if size > most_bytes:
                yield [index]
                continue
            if portion and (len(portion) == most_items or total + size > most_bytes):
                yield portion
                portion, total = [], 0
            portion.append(index)
            total += size
    if portion:
        yield portion


def _shard_id(items: list[Item], job_digest: str) -> str:
    digest = hashlib.sha256(job_digest.encode())
    for item in items:
        digest.update(f"\n{item.key}\0{item.etag}\0{item.attempts}".encode())
        if item.guide_digest is not None:
            digest.update(f"\0{item.guide_digest}".encode())
    return digest.hexdigest()[:16]


def plan_table(plan: HasShards) -> pa.Table:
    """The shards as one table of PLAN_SCHEMA, one row each."""
    return pa.Table.from_batches(list(_batches(plan.shards)), schema=PLAN_SCHEMA)


def plan_rows(plan: HasShards) -> Iterator[pa.Table]:
    """The rows of `plan_table`, a table each, of which one row group is made at a time."""
    for batch in _batches(plan.shards):
        for at in range(batch.num_rows):
            yield pa.Table.from_batches([batch.slice(at, 1)]).combine_chunks()


def write_shards(out: Store, key: str, shards: Sequence[Shard]) -> None:
    """Put the shards' table at `key` unless there is one."""
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, PLAN_SCHEMA, compression="zstd") as writer:
        for batch in _batches(shards):
            writer.write_batch(batch)
    out.put_if_absent(key, buffer.getvalue(), PARQUET)


def _batches(shards: Sequence[Shard]) -> Iterator[pa.RecordBatch]:
    """Row groups, of which few shards are Python objects at a time."""
    group: list[pa.RecordBatch] = []
    start = rows = items = 0
    while start < len(shards):
        few = shards[start : start + min(_TOGETHER, _ROW_GROUP - rows)]
        group.append(_batch(few))
        start, rows = start + len(few), rows + len(few)
        items += sum(len(shard.items) for shard in few)
        if rows >= _ROW_GROUP or items >= _GROUP_ITEMS:
            yield pa.Table.from_batches(group).combine_chunks().to_batches()[0]
            group, rows, items = [], 0, 0
    if group:
        yield pa.Table.from_batches(group).combine_chunks().to_batches()[0]


def _batch(shards: Sequence[Shard]) -> pa.RecordBatch:
    """Built column by column, because a dictionary per item would take ten times as long."""
    items = [item for shard in shards for item in shard.items]
    columns = [
        pa.array([getattr(item, f.name) for item in items], ITEM_TYPE.field(f.name).type)
        for f in fields(Item)
    ]
    offsets = [0]
    for shard in shards:
        offsets.append(offsets[-1] + len(shard.items))
    struct = pa.StructArray.from_arrays(columns, fields=list(ITEM_TYPE))
    nested = pa.ListArray.from_arrays(
        pa.array(offsets, pa.int32()), struct, type=PLAN_SCHEMA.field("items").type
    )
    ids, sizes = [shard.shard_id for shard in shards], [shard.bytes for shard in shards]
    return pa.record_batch([pa.array(ids), pa.array(sizes, pa.int64()), nested], schema=PLAN_SCHEMA)
