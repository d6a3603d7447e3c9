"""Rows for Ray Data, a block each, described here: Ray would start a process for each core to look."""

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

    `ray.data.from_arrow` asks for the size and schema of each block in a task of its own: 2 CPU seconds for
    each core before the first worker starts, and a task for each shard of a plan. `from_blocks` reads them
    where the tables are.

    Args:
        tables: called twice, once to store and once to describe: no more than one is in memory at a time.
    """
    return ray.data.from_blocks(cast("list[Any]", _Tables(tables)))
