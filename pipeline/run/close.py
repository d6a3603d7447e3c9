"""Close a run: write one ledger file, a summary for schedulers, and pictures and a page for people."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pipeline.cli import log
from pipeline.config.job import ReportConfig
from pipeline.errors import EXIT_DONE, EXIT_FAILED_IMAGES, EXIT_TOO_MANY_FAILED
from pipeline.ledger.compact import compact_ledger
from pipeline.ledger.complete import check_complete
from pipeline.ledger.keys import summary_key
from pipeline.ledger.merge import merge_parts
from pipeline.plan.plan import Plan
from pipeline.records import Status
from pipeline.report.drift import reference_for
from pipeline.report.run_report import make_report
from pipeline.report.summary import (
    Balance,
    Cost,
    Seconds,
    Summary,
    balance,
    software_versions,
    summary_json,
)
from pipeline.report.summary_text import headline, summary_text
from pipeline.report.tally import RunTally
from pipeline.review.cards import read_cards
from pipeline.review.review import refresh_gallery
from pipeline.run.retention import drop_old_runs
from pipeline.shard.job import Job
from pipeline.storage import Store

if TYPE_CHECKING:
    from pipeline.run.layout import Layout, Resources


@dataclass(frozen=True)
class Clock:
    """Times of a run, in seconds since the epoch: the command starts, planning starts and ends, a worker
    takes the first shard, and the last shard is committed.
    """

    called: float
    started: float
    planned: float
    began: float
    ended: float

    def seconds(self) -> Seconds:
        """How long each phase took; the closing phase lasts until now."""
        now = time.time()
        return Seconds(
            load=self.started - self.called,
            plan=self.planned - self.started,
            start=self.began - self.planned,
            run=self.ended - self.began,
            close=now - self.ended,
            total=now - self.called,
        )


def close_run(
    job: Job,
    plan: Plan,
    layout: Layout,
    tally: RunTally,
    clock: Clock,
    occupied: Resources | None,
    source: Store,
    out: Store,
) -> Summary:
    """Count the ledger's rows; write the compact ledger, the report, the gallery if wanted and the summary;
    print the summary; delete old runs. Merge the ledger parts if there are many.

    Args:
        clock: when the earlier phases began and ended.
        occupied: CPUs and GPUs that the workers held; None: unknown.

    Returns:
        The summary; its exit status is 0, 3 with failed images, 4 with more than `run.max_failed` allows.

    Raises:
        RunError: the ledger lacks a part that was committed.
        StorageError: the output cannot be written. The images and their ledger are complete by then.
    """
    check_complete(out, job.job_digest, plan.shards.image_counts())
    summary = _summary(job, plan, layout, tally, clock, occupied)
    compact_ledger(out, job.job_digest, job.run_id)
    merge_parts(out, job.job_digest)
    if job.config.report.sample:
        make_report(source, out, tally.sample, job.config.report, summary)
    if job.config.report.gallery:
        refresh_gallery(job.config, source, out, read_cards(out), of_run=job.run_id)
    summary = summary.model_copy(update={"seconds": clock.seconds()})
    out.put(summary_key(job.run_id), summary_json(summary), "application/json")
    report, gallery = bool(job.config.report.sample), bool(job.config.report.gallery)
    text = summary_text(summary, report, gallery)
    log.say("summary", headline(summary), text=text, summary=summary.model_dump(mode="json"))
    if summary.exit_status == EXIT_TOO_MANY_FAILED:
        alarm = _alarm(summary, tally.rows, job.config.run.max_failed)
        log.say("error", alarm, level="error", text=f"error: {alarm}", exit_status=summary.exit_status)
    if job.config.report.keep is not None:
        drop_old_runs(out, job.config.report.keep)
    return summary


def _summary(
    job: Job, plan: Plan, layout: Layout, tally: RunTally, clock: Clock, occupied: Resources | None
) -> Summary:
    """The summary of the run as known before its closing phase."""
    failed_before, chroma = plan.done.get(Status.FAILED, 0), tally.chroma
    return Summary(
        run_id=job.run_id,
        job_digest=job.job_digest,
        input=job.input,
        output=job.output,
        method=job.config.model.method,
        weights_digest=job.weights_digest,
        precision=layout.precision,
        topology=layout.topology,
        engine=layout.engine,
        workers=layout.workers,
        listed=plan.items_listed,
        bytes=plan.bytes_listed,
        done_before=sum(plan.done.values()),
        failed_before=failed_before,
        todo=plan.todo_items,
        counts=tally.counts,
        guided=tally.guided,
        second_files=tally.second_files,
        failures=tally.failures,
        images_per_second=tally.counts[Status.COLORIZED] / max(clock.ended - clock.began, 1e-6) or None,
        seconds=clock.seconds(),
        stage_seconds=tally.stage_seconds,
        balance=_balance(layout, tally, clock, occupied),
        cost=occupied and _cost(clock, occupied, job.config.report),
        max_delta_l=tally.max_delta_l,
        chroma=chroma and chroma.against(reference_for(job.config, job.weights_digest)),
        doubt=tally.doubt.counts,
        exit_status=run_status(tally, failed_before, job.config.run.max_failed),
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=software_versions(),
        model=job.model,
    )


def run_status(tally: RunTally, failed_before: int, max_failed: float) -> int:
    """The exit status of a run whose work is done: 0, 3 or 4."""
    failed = tally.counts[Status.FAILED]
    if tally.rows and failed / tally.rows > max_failed:
        return EXIT_TOO_MANY_FAILED
    return EXIT_FAILED_IMAGES if failed + failed_before else EXIT_DONE


def _alarm(summary: Summary, worked_on: int, max_failed: float) -> str:
    failed = summary.counts[Status.FAILED]
    code, group = next(iter(summary.failures.items()))
    return (
        f"{failed:,} of {worked_on:,} images failed ({failed / worked_on:.1%}); run.max_failed allows "
        f"{max_failed:.1%}. The most frequent failure is {code} ({group.count:,}): {group.advice}"
    )


def _balance(layout: Layout, tally: RunTally, clock: Clock, occupied: Resources | None) -> Balance | None:
    """Only for staged runs. A predict actor without a GPU holds one CPU, which other tasks cannot use."""
    if layout.topology != "staged" or occupied is None:
        return None
    cpus = occupied.cpus - (0 if layout.gpus else layout.workers)
    return balance(tally.stage_seconds, clock.ended - clock.began, max(cpus, 1), layout.workers)


def _cost(clock: Clock, occupied: Resources, prices: ReportConfig) -> Cost:
    """Hours from the end of planning, when Ray starts, to the last commit, times the CPUs and GPUs held."""
    hours = max(clock.ended - clock.planned, 0.0) / 3600
    cores, gpus = hours * occupied.cpus, hours * occupied.gpus
    if prices.price_core_hour is None and prices.price_gpu_hour is None:
        return Cost(core_hours=cores, gpu_hours=gpus)
    money = cores * (prices.price_core_hour or 0.0) + gpus * (prices.price_gpu_hour or 0.0)
    return Cost(core_hours=cores, gpu_hours=gpus, money=money)
