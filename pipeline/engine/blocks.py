"""Tables for Ray Data, one block each. The driver gives their size and schema: no task must read them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

import pyarrow as pa
import ray.data


class _Tables:
    """Tables that are created again for each iteration."""

    def __init__(self, make: Callable[[], Iterable[pa.Table]]) -> None:
        self._make = make

    def __iter__(self) -> Iterator[pa.Table]:
        return iter(self._make())


def blocks_of(tables: Callable[[], Iterable[pa.Table]]) -> Any:
    """A Ray dataset of one block for each table.

    `ray.data.from_arrow` reads the size and schema of each block in a separate task. That means one task per
    shard of a plan, and a process on each core for them, before the first worker starts. `from_blocks` reads
    both where the tables are.

    Args:
        tables: called twice, once to store and once to describe: no more than one is in memory at a time.
    """
    return ray.data.from_blocks(cast("list[Any]", _Tables(tables)))
