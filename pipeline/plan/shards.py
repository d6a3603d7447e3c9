"""Shards: the one unit of work, retry, resume and commit."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.config.job import PlanConfig
from pipeline.ledger.write import PARQUET
from pipeline.records import ITEM_TYPE, PLAN_SCHEMA, Item
from pipeline.storage import Store

#: A job should have this many shards for each worker, or the last ones idle while one finishes ...
_SHARDS_PER_WORKER = 4
#: ... but no smaller ones while every worker gets one, for each costs a task and a ledger part.
_LEAST_IMAGES = 4
#: Rows of the manifest that are built and written at a time.
_ROW_GROUP = 256


@dataclass(frozen=True)
class Shard:
    """Some objects of the plan, in key order. The id is a digest of the work: equal work, equal id."""

    shard_id: str
    bytes: int
    items: list[Item]


class HasShards(Protocol):
    @property
    def shards(self) -> list[Shard]: ...


def cut(items: list[Item], job_digest: str, config: PlanConfig, workers: int) -> list[Shard]:
    """The items, each in exactly one shard, in their order.

    A shard has at most `shard_images` items and `shard_bytes` bytes; an item larger than that is alone. Small
    jobs get smaller shards, so that all workers have something to do and a killed run has lost little.
    """
    wanted = -(-len(items) // (_SHARDS_PER_WORKER * workers))
    least = min(_LEAST_IMAGES, max(1, -(-len(items) // workers)))
    most = min(config.shard_images, max(least, wanted))
    return [_shard(part, job_digest) for part in _portions(items, most, config.shard_bytes)]


def _portions(items: list[Item], most_items: int, most_bytes: int) -> Iterator[list[Item]]:
    portion: list[Item] = []
    size = 0
    for item in items:
        if item.bytes > most_bytes:
            yield [item]
            continue
        if portion and (len(portion) == most_items or size + item.bytes > most_bytes):
            yield portion
            portion, size = [], 0
        portion.append(item)
        size += item.bytes
    if portion:
        yield portion


def _shard(items: list[Item], job_digest: str) -> Shard:
    digest = hashlib.sha256(job_digest.encode())
    for item in items:
        digest.update(f"\n{item.key}\0{item.etag}\0{item.attempts}".encode())
        if item.guide_digest is not None:
            digest.update(f"\0{item.guide_digest}".encode())
    return Shard(digest.hexdigest()[:16], sum(item.bytes for item in items), items)


def plan_table(plan: HasShards) -> pa.Table:
    """The shards as one table of PLAN_SCHEMA, one row each."""
    return pa.Table.from_batches(list(_batches(plan.shards)), schema=PLAN_SCHEMA)


def write_shards(out: Store, key: str, shards: Sequence[Shard]) -> None:
    """Put the shards' table at `key` unless there is one."""
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, PLAN_SCHEMA, compression="zstd") as writer:
        for batch in _batches(shards):
            writer.write_batch(batch)
    out.put_if_absent(key, buffer.getvalue(), PARQUET)


def _batches(shards: Sequence[Shard]) -> Iterator[pa.RecordBatch]:
    for start in range(0, len(shards), _ROW_GROUP):
        yield _batch(shards[start : start + _ROW_GROUP])


def _batch(shards: Sequence[Shard]) -> pa.RecordBatch:
    """Column by column: a dictionary per item would take ten times as long."""
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
