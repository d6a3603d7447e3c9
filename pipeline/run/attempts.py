"""How often a shard was begun, and which images took a worker down: what outlives the workers.

Imports little: the registry is a process of its own, and what it imports is time at the start of every run.
"""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Any, NamedTuple

import ray


class AtWork(NamedTuple):
    """A shard that is begun and not committed: seconds since its first attempt, and how many there were."""

    shard: str
    seconds: float
    attempt: int


class AttemptRegistry:
    """Counts attempts across worker crashes (`pipeline.shard.attempts.Attempts`); lives beside the driver."""

    def __init__(self) -> None:
        self._begun: dict[str, int] = defaultdict(int)
        self._touched: dict[str, set[str]] = defaultdict(set)
        self._lost: dict[str, set[str]] = defaultdict(set)
        self._since: dict[str, float] = {}  # shards that are begun and not committed

    def begin(self, shard_id: str) -> int:
        self._begun[shard_id] += 1
        self._since.setdefault(shard_id, time.monotonic())
        self._lost[shard_id] |= self._touched.pop(shard_id, set())
        return self._begun[shard_id]

    def touch(self, shard_id: str, key: str) -> None:
        self._touched[shard_id].add(key)

    def finish(self, shard_id: str, key: str) -> None:
        self._touched[shard_id].discard(key)

    def lost(self, shard_id: str) -> set[str]:
        return self._lost[shard_id]

    def committed(self, shard_id: str) -> None:
        self._since.pop(shard_id, None)

    def at_work(self) -> list[AtWork]:
        now = time.monotonic()
        return [AtWork(shard, now - since, self._begun[shard]) for shard, since in self._since.items()]


def open_registry() -> Any:
    """A registry actor; restarted once at most, for what it knows is gone with it."""
    return ray.remote(num_cpus=0, max_restarts=1)(AttemptRegistry).remote()


class RemoteAttempts:
    """The registry's handle in a worker, as plain calls."""

    def __init__(self, registry: Any) -> None:
        self._registry = registry

    def begin(self, shard_id: str) -> int:
        return int(ray.get(self._registry.begin.remote(shard_id)))

    def touch(self, shard_id: str, key: str) -> None:
        ray.get(self._registry.touch.remote(shard_id, key))

    def finish(self, shard_id: str, key: str) -> None:
        ray.get(self._registry.finish.remote(shard_id, key))

    def lost(self, shard_id: str) -> set[str]:
        keys: set[str] = ray.get(self._registry.lost.remote(shard_id))
        return keys
