"""The attempt registry as a Ray actor, and its handles: in workers, and in the driver."""

from __future__ import annotations

from typing import Any

import ray

from pipeline.run.attempts import AttemptRegistry, ShardInProgress

_ANSWER_SECONDS = 10.0


def open_registry() -> Any:
    """Start a registry actor. It restarts at most once, because a restart loses what it knows."""
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

    def progress(self, shard_id: str, done: int, failed: int) -> None:
        self._registry.progress.remote(shard_id, done, failed)  # do not wait for the answer


class RemoteRegistry:
    """The registry's handle in the driver (`pipeline.run.attempts.Registry`)."""

    def __init__(self, registry: Any) -> None:
        self._registry = registry

    def at_work(self) -> list[ShardInProgress] | None:
        try:
            shards: list[ShardInProgress] = ray.get(self._registry.at_work.remote(), timeout=_ANSWER_SECONDS)
        except ray.exceptions.RayError:
            return None  # if the cluster is gone, the chain raises
        return shards

    def committed(self, shard_id: str) -> None:
        self._registry.committed.remote(shard_id)
