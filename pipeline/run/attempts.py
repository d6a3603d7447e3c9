"""State that outlives the workers: how often each shard was started, and which images killed a worker.

Imports little, because the registry is a process of its own and its imports slow down the start of every run.
"""

from __future__ import annotations

import time
from collections import defaultdict
from typing import NamedTuple, Protocol


class ShardInProgress(NamedTuple):
    """A shard that is started but not committed: seconds since its first attempt, and the number of attempts.

    done, failed: counts of its images in the present attempt, as of a second ago.
    """

    shard: str
    seconds: float
    attempt: int
    done: int = 0
    failed: int = 0


class Registry(Protocol):
    """The driver's view of the attempt registry, wherever that runs."""

    def at_work(self) -> list[ShardInProgress] | None:
        """The shards that are started but not committed; None if that is unknown at the moment."""

    def committed(self, shard_id: str) -> None:
        """This shard is done."""


class AttemptRegistry:
    """Counts attempts across worker crashes (`pipeline.shard.attempts.Attempts`): in the driver, or with Ray
    in an actor beside it."""

    def __init__(self) -> None:
        self._begun: dict[str, int] = defaultdict(int)
        self._touched: dict[str, set[str]] = defaultdict(set)
        self._lost: dict[str, set[str]] = defaultdict(set)
        self._since: dict[str, float] = {}  # shards that are started but not committed
        self._progress: dict[str, tuple[int, int]] = {}  # of those, images that are done, and that failed

    def begin(self, shard_id: str) -> int:
        self._begun[shard_id] += 1
        self._progress.pop(shard_id, None)
        self._since.setdefault(shard_id, time.monotonic())
        self._lost[shard_id] |= self._touched.pop(shard_id, set())
        return self._begun[shard_id]

    def touch(self, shard_id: str, key: str) -> None:
        self._touched[shard_id].add(key)

    def finish(self, shard_id: str, key: str) -> None:
        self._touched[shard_id].discard(key)

    def lost(self, shard_id: str) -> set[str]:
        return self._lost[shard_id]

    def progress(self, shard_id: str, done: int, failed: int) -> None:
        if shard_id in self._since:
            self._progress[shard_id] = (done, failed)

    def committed(self, shard_id: str) -> None:
        self._since.pop(shard_id, None)
        self._progress.pop(shard_id, None)

    def at_work(self) -> list[ShardInProgress]:
        now = time.monotonic()
        return [
            ShardInProgress(shard, now - since, self._begun[shard], *self._progress.get(shard, (0, 0)))
            for shard, since in list(self._since.items())
        ]
