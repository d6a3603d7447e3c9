"""Observe a run while it works: progress, log lines for shards and images, Ray's metrics.

Only the driver writes to the log, from the ledger rows of each committed shard. Between commits, a thread
asks the attempt registry for the shards in progress and how far they are, so that progress is counted per
image.
"""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

from pipeline.cli import log
from pipeline.cli.counts import counted
from pipeline.cli.progress import Reporter
from pipeline.errors import EXIT_UNFINISHED
from pipeline.plan.plan import Plan
from pipeline.records import RUN_STATUSES, Status
from pipeline.report.tally import RunTally
from pipeline.run.attempts import Registry, ShardInProgress
from pipeline.run.close import run_status
from pipeline.run.notify import STATUS
from pipeline.shard.job import Job
from pipeline.shard.result import ShardResult

if TYPE_CHECKING:
    from pipeline.run.telemetry import Telemetry  # it imports Ray

_LOOK_SECONDS = 1.0


class Observer:
    """Observes the run inside its `with` block; `telemetry` is None without Ray, the metrics' exporter."""

    def __init__(
        self, job: Job, plan: Plan, tally: RunTally, registry: Registry, telemetry: Telemetry | None
    ) -> None:
        self.tally, self.registry, self.telemetry = tally, registry, telemetry
        self.reporter = Reporter(plan.todo_items, waiting="workers are starting")
        self.failed_before = plan.done.get(Status.FAILED, 0)
        self.max_failed = job.config.run.max_failed
        self.committed_shards: set[str] = set()
        self.last_commit = time.monotonic()
        self.uncommitted: dict[str, int] = {}  # images done in shards in progress, as of the last check
        # Attempts of shards that were started more than once. Kept after the commit, because an answer that
        # the registry gave before the commit may arrive after it.
        self.attempts: dict[str, int] = {}
        self.lock = threading.Lock()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch, name="observer", daemon=True)

    def __enter__(self) -> Observer:
        self.reporter.__enter__()
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over.set()
        self.thread.join()
        self._measure([])
        self.reporter.__exit__(kind, error, trace)
        finished = run_status(self.tally, self.failed_before, self.max_failed)
        if self.telemetry is not None:
            self.telemetry.ended(STATUS[finished if kind is None else EXIT_UNFINISHED])

    def committed(self, result: ShardResult) -> None:
        """Record one committed shard."""
        self.registry.committed(result.shard_id)
        with self.lock:
            self.tally.add(result.rows)
            self.committed_shards.add(result.shard_id)
            self.last_commit = time.monotonic()
            self._note_attempt(result.shard_id, result.attempt.number)
        if self.telemetry is not None:
            self.telemetry.committed(result, self.tally)
        if log.is_json():
            _log_shard(result)
        self.reporter.begin(time.time() - result.attempt.started_at)
        if self.tally.rows == self.reporter.total:
            self.reporter.show(self.tally.rows, self.tally.counts[Status.FAILED])

    def _note_attempt(self, shard: str, attempt: int) -> None:
        before = self.attempts.get(shard, 1)
        if attempt > before:
            self.attempts[shard] = attempt
            if self.telemetry is not None:
                self.telemetry.retried(attempt - before)
            message = f"attempt {attempt} at the shard: a worker was lost"
            log.detail("retry", message, level="warning", shard=shard, attempt=attempt)

    def _watch(self) -> None:
        at_work: list[ShardInProgress] = []
        while True:
            known = self.registry.at_work()
            if known is None:  # keep the last known state; the seconds keep counting
                known = [one._replace(seconds=one.seconds + _LOOK_SECONDS) for one in at_work]
            at_work = known
            self._look(at_work)
            if self.over.wait(_LOOK_SECONDS):
                return

    def _measure(self, at_work: list[ShardInProgress]) -> None:
        oldest = max((one.seconds for one in at_work), default=0.0)
        with self.lock:
            for one in at_work:
                self._note_attempt(one.shard, one.attempt)
            if self.telemetry is not None:
                quiet = time.monotonic() - self.last_commit
                self.telemetry.watched(len(self.committed_shards), len(at_work), oldest, quiet)

    def _look(self, at_work: list[ShardInProgress]) -> None:
        self._measure(at_work)
        with self.lock:
            # an answer given before a commit still lists that shard
            left = [one for one in at_work if one.shard not in self.committed_shards]
            self.uncommitted = {one.shard: one.done for one in left}
            done, failed = self.tally.rows + sum(self.uncommitted.values()), sum(one.failed for one in left)
        if at_work:
            self.reporter.begin(max(one.seconds for one in at_work))
        if done < self.reporter.total:  # the last commit reports the end itself
            self.reporter.show(done, self.tally.counts[Status.FAILED] + failed)


def _log_shard(result: ShardResult) -> None:
    """Log a line for each of its images that was not coloured, then one for the shard."""
    counts: dict[str, Any] = {str(status): 0 for status in RUN_STATUSES}
    for row in result.rows.to_pylist():
        counts[row["status"]] += 1
        if row["status"] == Status.COLORIZED:
            continue
        failed = row["status"] == Status.FAILED
        log.detail(
            "image",
            f"{row['failure_code'] or row['status']}: {row['message'] or ''}".rstrip(": "),
            level="warning" if failed else "info",
            shard=result.shard_id,
            key=row["key"],
            status=row["status"],
            code=row["failure_code"],
        )
    failed_text = f", {counts[Status.FAILED]:,} failed" if counts[Status.FAILED] else ""
    log.detail(
        "shard",
        f"{counted(result.rows.num_rows, 'image')} committed{failed_text}",
        shard=result.shard_id,
        **counts,
        attempt=result.attempt.number,
        committed_before=not result.won,
        seconds=round(result.ended - result.attempt.started_at, 3),
        bytes_written=result.written,
    )
