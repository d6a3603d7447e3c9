"""The end of a run: one ledger file for people, the summary for schedulers, pictures for eyes."""

from __future__ import annotations

import time
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


def close_run(
    job: Job, plan: Plan, laid: Layout, tally: Tally, seconds: dict[str, float], source: Store, out: Store
) -> int:
    """Write compact ledger, report and summary, print it; the exit status: 0, or 3 with failed images.

    Args:
        seconds: wall-clock of the phases `plan`, `start` and `run`.

    Raises:
        StorageError: the output cannot be written. The images and their ledger are complete by then.
    """
    started = time.monotonic()
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
        failures=tally.failures,
        images_per_second=tally.counts[Status.COLORIZED] / seconds["run"] or None,
        seconds=Seconds(**seconds, total=sum(seconds.values())),
        stage_seconds=tally.stage_seconds,
        max_delta_l=tally.max_delta_l,
        exit_status=EXIT_FAILED_IMAGES if failed else EXIT_DONE,
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=software_versions(),
    )
    compact_ledger(out, job.job_digest, job.run_id)
    if job.config.report.sample:
        make_report(source, out, tally.sample, job.config.report, summary)
    seconds["close"] = time.monotonic() - started
    summary = summary.model_copy(update={"seconds": Seconds(**seconds, total=sum(seconds.values()))})
    out.put(summary_key(job.run_id), summary_json(summary), "application/json")
    print(summary_text(summary, report=bool(job.config.report.sample)))
    return summary.exit_status
