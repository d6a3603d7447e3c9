"""Close an earlier run that coloured its images but was not closed: it was killed, or its disk was full.

The same command then finds nothing to do and closes that run instead, so that the report, the summary and the
gallery exist as if nothing had happened.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.cli import log
from pipeline.cli.run_id import COLORING_RUN_ID
from pipeline.config.section import Section
from pipeline.errors import ObjectMissing, RunError
from pipeline.ledger.keys import LEASE, RUNS, run_id_of, start_key, summary_key
from pipeline.ledger.read import list_parts, stream_parts
from pipeline.plan.plan import Plan
from pipeline.report.summary import Summary
from pipeline.report.tally import COLUMNS, RunTally
from pipeline.run.close import Clock, close_run
from pipeline.run.layout import Layout, Resources
from pipeline.shard.job import Job
from pipeline.storage import Store, drop_half_written
from pipeline.storage.lease import hold_lease


class Start(Section):
    """What a run records about itself when its workers are ready.

    begun: when the command began, and its planning; planned: when that ended. Seconds since 1970.
    """

    job_digest: str
    layout: Layout
    begun: tuple[float, float]
    planned: float


def write_start(out: Store, run_id: str, start: Start) -> None:
    """Write it. Raises StorageError."""
    out.put(start_key(run_id), start.model_dump_json(indent=2).encode() + b"\n", "application/json")


def close_unclosed(job: Job, plan: Plan, source: Store, out: Store) -> Summary | None:
    """Close the newest run of the job digest if it has rows in the ledger but no summary.

    Args:
        plan: the present plan, which has nothing to do.

    Returns:
        Its summary; None if there is no such run, or if another process is using the output and may be
        closing it.

    Raises:
        StorageError: the output cannot be read or written. DamagedLedgerPart: a part is damaged.
    """
    if _unclosed(out, job.job_digest) is None:
        return None
    with ExitStack() as stack:
        try:
            lease = stack.enter_context(hold_lease(out, LEASE, what="the end of an earlier run"))
        except RunError:
            return None
        unclosed = _unclosed(out, job.job_digest)  # another process may have closed it before our lease
        if unclosed is None:
            return None
        if lease.follows_a_death:
            drop_half_written(out)
        return _close(job, plan, source, out, *unclosed)


def _close(job: Job, plan: Plan, source: Store, out: Store, run_id: str, start: Start) -> Summary | None:
    tally, began, ended = RunTally(job.config.report.sample), float("inf"), 0.0
    for rows in _rows_of(out, job.job_digest, run_id):
        tally.add(rows)
        times = pc.min_max(rows["finished_at"]).as_py()
        began, ended = min(began, times["min"].timestamp()), max(ended, times["max"].timestamp())
    if not tally.rows:
        return None
    text = f"run {run_id} coloured its images but was not closed: closing it now"
    log.say("closing", text, text=text)
    # As if the run had ended just now. The lengths of its phases are known; the pause since then is not
    # counted.
    pause = time.time() - ended
    instants = (*start.begun, start.planned, max(began, start.planned), ended)
    clock = Clock(*(at + pause for at in instants))
    layout, before = start.layout, _before(plan, tally)
    # The number of CPUs that the cluster had is no longer known.
    is_known = layout.topology == "fused"
    occupied = Resources(layout.workers * layout.threads, layout.gpus) if is_known else None
    return close_run(replace(job, run_id=run_id), before, layout, tally, clock, occupied, source, out)


def _unclosed(out: Store, job_digest: str) -> tuple[str, Start] | None:
    """The newest run that has not finished, among those after the last one that has."""
    keys = {info.key for info in out.list(RUNS)}
    run_ids = {run_id for key in keys if COLORING_RUN_ID.fullmatch(run_id := run_id_of(key) or "")}
    for run_id in sorted(run_ids, reverse=True):
        if summary_key(run_id) in keys:
            return None
        if start_key(run_id) in keys and (start := _read(out, run_id)) and start.job_digest == job_digest:
            return run_id, start
    return None


def _read(out: Store, run_id: str) -> Start | None:
    """None if it is gone, damaged or of another version, because then the times are unknown."""
    try:
        return Start.model_validate_json(out.get(start_key(run_id)).data)
    except ObjectMissing:
        return None
    except ValueError:
        warning = (
            f"cannot read {start_key(run_id)} in {out.uri}: it is damaged, or of another version. That run "
            "gets no report and no summary; its images and their rows in the ledger stay"
        )
        log.say("warning", warning, level="warning", text=f"warning: {warning}")
        return None


def _rows_of(out: Store, job_digest: str, run_id: str) -> Iterator[pa.Table]:
    columns = [*COLUMNS, "run_id", "finished_at"]
    for table in stream_parts(out, list_parts(out, job_digest), columns):
        rows = table.filter(pc.field("run_id") == run_id)
        if rows.num_rows:
            yield rows


def _before(plan: Plan, tally: RunTally) -> Plan:
    """The plan as it was before the run: what is done now, minus the run's own rows."""
    done = {status: count - tally.counts.get(str(status), 0) for status, count in plan.done.items()}
    return replace(plan, done={status: n for status, n in done.items() if n > 0}, todo_items=tally.rows)
