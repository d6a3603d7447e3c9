"""A pool of processes on this machine. Like the Ray chain, it yields one result per committed shard.

Only the driver knows which shards are in progress. It replaces a worker that dies and retries its shard.
After `limits.attempts` attempts it runs the shard's images one by one, and fails each image that kills its
worker.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait

from pipeline.errors import RunError
from pipeline.plan.plan import Plan
from pipeline.plan.shards import Shard
from pipeline.run.attempts import AttemptRegistry
from pipeline.run.fork_server import ForkServer, take_server
from pipeline.run.pool_messages import ImageFinished, ImageStarted, Order, Progress, Ready, RunStopped
from pipeline.shard.job import Job
from pipeline.shard.result import ShardResult

_FALSE_STARTS = 3  # workers in a row that end before they are ready
_BLAMELESS = 4  # worker deaths over one shard that no image is blamed for
_LEAVE_SECONDS = 5.0  # time to finish writing when the run is stopped


class _Worker:
    """A process of the pool; `shard` is the shard that it works on."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.ready = False
        self.shard: Shard | None = None


@contextmanager
def local_pool(workers: int, registry: AttemptRegistry) -> Iterator[LocalPool]:
    """A pool of this many processes. When the block ends, all processes and their half-written files are
    gone."""
    with take_server() as server:
        pool = LocalPool(server, workers, registry)
        try:
            yield pool
        finally:
            pool.stop()


class LocalPool:
    """Distributes the shards of one run to workers."""

    def __init__(self, server: ForkServer, workers: int, registry: AttemptRegistry) -> None:
        self.server, self.count, self.registry = server, workers, registry
        self.workers: dict[Connection, _Worker] = {}
        self.shards: Iterator[Shard] = iter(())  # not started yet; a plan may be too large for a list
        self.again: deque[Shard] = deque()  # their worker died
        self.false_starts = 0
        self.stall_seconds = 0

    def results(self, job: Job, plan: Plan) -> Iterator[ShardResult]:
        """Work through the plan; yields the result of each shard as it is committed.

        Raises:
            RunError: workers were lost too often, or nothing moved for `limits.stall_seconds`.
            FiatColorError: what a worker raised, e.g. StorageError when the output cannot be written.
        """
        self.shards = iter(plan.shards)
        self.stall_seconds = job.config.limits.stall_seconds
        left = len(plan.shards)
        while left:
            while len(self.workers) < min(self.count, left):
                self._start(job)
            moved = wait(self.workers, timeout=self.stall_seconds)
            if not moved:
                raise RunError(
                    f"the run stopped: no progress for {self.stall_seconds} s (limits.stall_seconds); "
                    "committed shards stay, run again"
                )
            for connection in moved:
                assert isinstance(connection, Connection)
                result = self._receive(self.workers[connection], job)
                if result is not None:
                    left -= 1
                    yield result

    def stop(self) -> None:
        """Let the workers finish what they are writing, and start nothing new."""
        self.server.stop_workers()
        deadline = time.monotonic() + _LEAVE_SECONDS
        # a worker that is not ready has started nothing
        while left := [one.connection for one in self.workers.values() if one.ready]:
            ended = wait(left, timeout=max(deadline - time.monotonic(), 0))
            if not ended:
                break
            for connection in ended:
                assert isinstance(connection, Connection)
                try:
                    connection.recv()
                except (EOFError, OSError):
                    self._forget(self.workers[connection])
        for worker in list(self.workers.values()):
            self._forget(worker)

    def _start(self, job: Job) -> None:
        worker = _Worker(self.server.fork())
        self.workers[worker.connection] = worker
        self._send(worker, job)

    def _receive(self, worker: _Worker, job: Job) -> ShardResult | None:
        """Receive one message from a worker. After the result of a shard, give the worker its next shard."""
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            self._lost(worker)
            return None
        match message:
            case Ready():
                worker.ready, self.false_starts = True, 0
                self._next(worker, job)
            case ImageStarted(key) if worker.shard is not None:
                self.registry.touch(worker.shard.shard_id, key)
            case ImageFinished(key) if worker.shard is not None:
                self.registry.finish(worker.shard.shard_id, key)
            case Progress(done, failed) if worker.shard is not None:
                self.registry.progress(worker.shard.shard_id, done, failed)
            case RunStopped(error):
                raise error
            case ShardResult():
                self._next(worker, job)
                return message
        return None

    def _next(self, worker: _Worker, job: Job) -> None:
        """Give a worker a shard, if there is one."""
        worker.shard = shard = self.again.popleft() if self.again else next(self.shards, None)
        if shard is None:
            return
        attempt, lost = self.registry.begin(shard.shard_id), self.registry.lost(shard.shard_id)
        if attempt > job.config.limits.attempts + len(lost) + _BLAMELESS:
            raise RunError(
                f"the run stopped: {attempt - 1} workers died over one shard, from {shard.items[0].key} to "
                f"{shard.items[-1].key}, perhaps for lack of memory; committed shards stay, run again with "
                "fewer run.workers"
            )
        self._send(worker, Order(shard.shard_id, shard.items, attempt, lost))

    def _send(self, worker: _Worker, message: Job | Order) -> None:
        try:
            worker.connection.send(message)
        except ConnectionError:
            return  # it has died: the closed connection reports that next

    def _lost(self, worker: _Worker) -> None:
        """Handle the death of a worker: another one gets its shard."""
        self._forget(worker)
        if worker.shard is not None:
            self.again.append(worker.shard)
        if worker.ready:
            return
        self.false_starts += 1
        if self.false_starts >= _FALSE_STARTS:
            words = f"workers exit before they start work: {self.server.last_words()}"
            raise RunError(f"{words}; committed shards stay, run again")

    def _forget(self, worker: _Worker) -> None:
        del self.workers[worker.connection]
        worker.connection.close()
