"""A whole verification: ledgers, listings, hashing on Ray, report. This is what `jobs/verify.py` calls."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.cli import log
from pipeline.cli.command import stop_on_sigterm
from pipeline.cli.progress import Reporter
from pipeline.cli.run_id import make_run_id
from pipeline.config.job import JobConfig
from pipeline.errors import FiatColorError
from pipeline.ledger.schema import DELIVERED
from pipeline.storage import Store, open_store, refuse_overlap
from pipeline.verify.check import OUTPUTS, SOURCES, Kind, check_shard
from pipeline.verify.compare import compare, cut, listed_table
from pipeline.verify.expected import Expected, read_expected
from pipeline.verify.findings import Finding, findings_table
from pipeline.verify.outcome import (
    Tally,
    absent,
    plan_text,
    stray,
    summarise,
    summary_text,
    unchecked,
    write_report,
)


@dataclass(frozen=True)
class Request:
    """What the user asked for; `report` is None for a folder of its own below OUT/runs."""

    output: str
    config: JobConfig
    input: str | None = None
    report: str | None = None


@dataclass(frozen=True)
class _Work:
    """Objects of one store that are to be hashed; `both`: LISTED_SCHEMA and sha256, not null."""

    store: Store
    kind: Kind
    both: pa.Table


def run_verify(request: Request) -> int:
    """Compare every delivered object with the ledgers, and with `input` every source too.

    In steps, for n rows in the ledgers of all job digests:
      1. read the ledgers, n rows -> one expectation a key, the latest;
      2. list what is there: missing and unexpected objects are known now;
      3. hash what is in both, in shards over Ray;
      4. write findings.parquet and summary.json. Nothing else is ever written.

    Returns:
        0: all is as the ledgers say; 3: there are findings.

    Raises:
        FiatColorError: with the exit status that its class states; nothing is known then.
    """
    started = time.time()
    out, source, report = _open(request)
    expected = read_expected(out)
    report.check_writable()
    tally = Tally(expected.parts, expected.outputs.num_rows)
    works = [_outputs(out, expected, tally)]
    if source is not None:
        tally.expected += expected.sources.num_rows
        works.append(_sources(source, expected, tally))
    text = plan_text(request.output, tally, [work.both for work in works])
    log.say("plan", f"{tally.expected:,} objects expected", text=text, output=request.output)
    if any(work.both.num_rows for work in works):
        _hash(request.config, works, tally)
    summary = summarise(tally, request.output, request.input, time.time() - started)
    write_report(report, tally, summary)
    for row in tally.table().to_pylist() if log.is_json() else ():
        log.detail("finding", row["message"], level="warning", key=row["key"], finding=row["finding"])
    said = f"{tally.found:,} findings in {tally.expected:,} objects"
    log.say("summary", said, text=summary_text(report, tally, summary), summary=summary)
    return int(summary["exit_status"])


def _open(request: Request) -> tuple[Store, Store | None, Store]:
    storage = request.config.storage
    out = open_store(request.output, storage)
    out.check_readable()
    source = open_store(request.input, storage) if request.input is not None else None
    if source is not None:
        source.check_readable()
    log.bind(run_id := make_run_id("verify"))
    where = request.report or f"{request.output.rstrip('/')}/runs/{run_id}"
    for place in (*(f"{out.uri}/{name}" for name in (*DELIVERED, "ledger")), request.input):
        if place is not None:
            refuse_overlap(place, where, own=())
    return out, source, open_store(where, storage)


def _outputs(out: Store, expected: Expected, tally: Tally) -> _Work:
    compared = compare(expected.outputs, listed_table(info for name in DELIVERED for info in out.list(name)))
    tally.findings += [
        findings_table(expected.unreadable),
        absent(compared.missing, Finding.MISSING),
        stray(compared.unexpected, len(expected.unreadable)),
        unchecked(compared.both),
    ]
    return _Work(out, OUTPUTS, compared.both.filter(compared.both["sha256"].is_valid()))


def _sources(source: Store, expected: Expected, tally: Tally) -> _Work:
    compared = compare(expected.sources, listed_table(source.list()))
    tally.findings.append(absent(compared.missing, Finding.SOURCE_MISSING))
    return _Work(source, SOURCES, compared.both)


def _hash(config: JobConfig, works: list[_Work], tally: Tally) -> None:
    """Hash all shards on Ray and count what comes back."""
    # Ray is imported late: a mistake is told in a second
    from pipeline.engine.cluster import capacity, cluster
    from pipeline.engine.tasks import map_tasks

    seconds = config.limits.stall_seconds
    total = sum(work.both.num_rows for work in works)
    try:
        with cluster(config.run.address, config.run.workers):
            stop_on_sigterm()
            workers = config.run.workers or capacity(config.run.address)[0]
            with Reporter(total, words=("verifying", "objects", "findings")) as reporter:
                hashed = map_tasks(check_shard, _shards(config, works, workers), workers, seconds)
                for checked in hashed:
                    tally.objects += checked.objects
                    tally.bytes += checked.bytes
                    tally.findings.append(checked.findings)
                    reporter.show(tally.objects, tally.found)
    except KeyboardInterrupt:
        raise FiatColorError(
            f"interrupted after {tally.objects:,} of {total:,} objects; the rest is unknown, run it again"
        ) from None


def _shards(
    config: JobConfig, works: list[_Work], workers: int
) -> Iterator[tuple[Store, pa.Table, Kind, int]]:
    """The arguments of `check_shard` for each shard."""
    for work in works:
        for start, stop in cut(work.both["bytes"].to_numpy(), workers):
            # `take` copies: a slice would be sent to the worker with the whole table behind it
            shard = work.both.take(pa.array(np.arange(start, stop)))
            yield work.store, shard, work.kind, config.run.threads
