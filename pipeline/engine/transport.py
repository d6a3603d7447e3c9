"""Pack objects into rows between Ray stages: a shard always stays one row."""

from __future__ import annotations

import pickle
from typing import Any

import pyarrow as pa

from pipeline.records import Item


def pack(value: Any) -> pa.Table:
    """Pack one of our plain objects as a table of one row and one binary column."""
    return pa.table({"payload": pa.array([pickle.dumps(value, protocol=5)], pa.large_binary())})


def unpack(batch: pa.Table) -> Any:
    """What `pack` packed."""
    return pickle.loads(batch["payload"][0].as_buffer())


def shard_of(batch: pa.Table) -> tuple[str, list[Item]]:
    """The shard id and items of a plan row."""
    row = batch.to_pylist()[0]
    return row["shard_id"], [Item(**item) for item in row["items"]]
