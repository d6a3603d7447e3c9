"""The end of a run: one ledger file for people, the summary for schedulers, pictures for eyes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from pipeline.errors import EXIT_DONE, EXIT_FAILED_IMAGES
from pipeline.flow.cluster import Layout
from pipeline.flow.job import Job
from pipeline.plan import Plan
from pipeline.records import Status
from pipeline.stages.compact import compact_ledger
from pipeline.stages.report import (
    Seconds,
    Summary,
    Tally,
    make_report,
    software_versions,
    summary_json,
    summary_key,
    summary_text,
)
from pipeline.storage import Store


@dataclass(frozen=True)
class Clock:
    """When a run started, its plan was made, its first shard was taken and its last one committed.

    Seconds since the epoch.
    """

    started: float
    planned: float
    began: float
    ended: float

    def seconds(self) -> Seconds:
        """How long each phase took; the closing phase lasts until now."""
        now = time.time()
        return Seconds(
            plan=self.planned - self.started,
            start=self.began - self.planned,
            run=self.ended - self.began,
            close=now - self.ended,
            total=now - self.started,
        )


def close_run(
    job: Job, plan: Plan, laid: Layout, tally: Tally, clock: Clock, source: Store, out: Store
) -> int:
    """Write compact ledger, report and summary, print it; the exit status: 0, or 3 with failed images.

    Args:
        clock: when the phases before this one began and ended.

    Raises:
        StorageError: the output cannot be written. The images and their ledger are complete by then.
    """
    failed_before = plan.done.get(Status.FAILED, 0)
    failed = tally.counts[Status.FAILED] + failed_before
    summary = Summary(
        run_id=job.run_id,
        job_digest=job.job_digest,
        input=job.input,
        output=job.output,
        method=job.config.model.method,
        weights_digest=job.weights_digest,
        precision=laid.precision,
        topology=laid.topology,
        workers=laid.workers,
        listed=plan.items_listed,
        bytes=plan.bytes_listed,
        done_before=sum(plan.done.values()),
        failed_before=failed_before,
        todo=plan.todo_items,
        counts=tally.counts,
        guided=tally.guided,
        failures=tally.failures,
        images_per_second=tally.counts[Status.COLORIZED] / max(clock.ended - clock.began, 1e-6) or None,
        seconds=clock.seconds(),
        stage_seconds=tally.stage_seconds,
        max_delta_l=tally.max_delta_l,
        exit_status=EXIT_FAILED_IMAGES if failed else EXIT_DONE,
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=software_versions(),
    )
    compact_ledger(out, job.job_digest, job.run_id)
    if job.config.report.sample:
        make_report(source, out, tally.sample, job.config.report, summary)
    summary = summary.model_copy(update={"seconds": clock.seconds()})
    out.put(summary_key(job.run_id), summary_json(summary), "application/json")
    print(summary_text(summary, report=bool(job.config.report.sample)))
    return summary.exit_status
