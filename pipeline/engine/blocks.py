"""Tables for Ray Data, a block each, whose size and schema the driver tells: no task reads them for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

import pyarrow as pa
import ray.data


class _Tables:
    """Tables that are made anew each time they are asked for."""

    def __init__(self, make: Callable[[], Iterable[pa.Table]]) -> None:
        self._make = make

    def __iter__(self) -> Iterator[pa.Table]:
        return iter(self._make())


def blocks_of(tables: Callable[[], Iterable[pa.Table]]) -> Any:
    """A Ray dataset of one block for each table.

    `ray.data.from_arrow` asks for the size and schema of each block in a task of its own: one for each shard
    of a plan, and for these tasks a process on each core, before the first worker starts. `from_blocks` reads
    both where the tables are.

    Args:
        tables: called twice, once to store and once to describe: no more than one is in memory at a time.
    """
    return ray.data.from_blocks(cast("list[Any]", _Tables(tables)))
