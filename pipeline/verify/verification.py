"""A whole verification: read ledgers, list, hash on Ray, write the report. `commands/verify.py` calls it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.cli import log
from pipeline.cli.counts import counted
from pipeline.cli.interrupt import stop_on_signals
from pipeline.cli.progress import Reporter
from pipeline.cli.run_id import make_run_id
from pipeline.config.job import JobConfig
from pipeline.errors import FiatColorError
from pipeline.ledger.keys import DELIVERED, RESERVED, run_folder
from pipeline.storage import Store, open_store, refuse_overlap
from pipeline.verify.expected import Expected, read_expected
from pipeline.verify.findings import (
    FindingCode,
    findings_table,
    missing_findings,
    no_checksum_findings,
    unexpected_findings,
)
from pipeline.verify.hashing import OUTPUT_CODES, SOURCE_CODES, ObjectCodes, check_shard
from pipeline.verify.listing_comparison import compare, cut, listed_table
from pipeline.verify.outcome import VerificationTally, plan_text, summarise, summary_text, write_report


@dataclass(frozen=True)
class VerifyRequest:
    """The command line of a verification; `report`: where to write; None: a new folder below OUT/runs."""

    output: str
    config: JobConfig
    input: str | None = None
    report: str | None = None


@dataclass(frozen=True)
class _ToHash:
    """Objects of one store to hash; `both`: LISTED_SCHEMA and a non-null sha256."""

    store: Store
    codes: ObjectCodes
    both: pa.Table


def run_verify(request: VerifyRequest) -> int:
    """Compare every delivered object with the ledgers, and with `input` every source too.

    In steps, for n rows in the ledgers of all job digests:
      1. read the ledgers: n rows -> the latest expectation for each key;
      2. list the existing objects, which gives missing and unexpected ones;
      3. hash the objects that are in both, in shards on Ray;
      4. write findings.parquet and summary.json. Nothing else is ever written.

    Returns:
        0: everything matches the ledgers; 3: there are findings.

    Raises:
        FiatColorError: with the exit status of its class; there is then no result.
    """
    started = time.time()
    out, source, report = _open(request)
    expected = read_expected(out)
    report.check_writable()
    tally = VerificationTally(expected.parts, expected.outputs.num_rows)
    to_hash = [_outputs(out, expected, tally)]
    if source is not None:
        tally.expected += expected.sources.num_rows
        to_hash.append(_sources(source, expected, tally))
    text = plan_text(request.output, tally, [work.both for work in to_hash])
    log.say("plan", f"{counted(tally.expected, 'file')} expected", text=text, output=request.output)
    if any(work.both.num_rows for work in to_hash):
        _hash(request.config, to_hash, tally)
    summary = summarise(tally, request.output, request.input, time.time() - started)
    write_report(report, tally, summary)
    for row in tally.table().to_pylist() if log.is_json() else ():
        log.detail("finding", row["message"], level="warning", key=row["key"], finding=row["finding"])
    counts = f"{counted(tally.finding_count, 'finding')} in {counted(tally.expected, 'file')}"
    log.say("summary", counts, text=summary_text(report, tally, summary), summary=summary)
    return int(summary["exit_status"])


def _open(request: VerifyRequest) -> tuple[Store, Store | None, Store]:
    storage = request.config.storage
    out = open_store(request.output, storage)
    out.check_readable()
    source = open_store(request.input, storage) if request.input is not None else None
    if source is not None:
        source.check_readable()
    log.bind(run_id := make_run_id("verify"))
    where = request.report or f"{request.output.rstrip('/')}/{run_folder(run_id)}".rstrip("/")
    for folder in (*(f"{out.uri}/{name}" for name in RESERVED), request.input):
        if folder is not None:
            refuse_overlap(folder, where, own=())
    return out, source, open_store(where, storage)


def _outputs(out: Store, expected: Expected, tally: VerificationTally) -> _ToHash:
    listed = listed_table(info for name in DELIVERED for info in out.list(name))
    earlier = pc.is_in(listed["key"], value_set=expected.superseded["key"].combine_chunks())
    tally.superseded = pc.sum(earlier).as_py() or 0
    compared = compare(expected.outputs, listed.filter(pc.invert(earlier)))
    tally.findings += [
        findings_table(expected.unreadable),
        missing_findings(compared.missing, FindingCode.MISSING),
        unexpected_findings(compared.unexpected, len(expected.unreadable)),
        no_checksum_findings(compared.both.filter(compared.both["sha256"].is_null())),
    ]
    return _ToHash(out, OUTPUT_CODES, compared.both.filter(compared.both["sha256"].is_valid()))


def _sources(source: Store, expected: Expected, tally: VerificationTally) -> _ToHash:
    compared = compare(expected.sources, listed_table(source.list()))
    tally.findings.append(missing_findings(compared.missing, FindingCode.SOURCE_MISSING))
    return _ToHash(source, SOURCE_CODES, compared.both)


def _hash(config: JobConfig, to_hash: list[_ToHash], tally: VerificationTally) -> None:
    """Hash all shards on Ray and count what comes back."""
    # import Ray late, so that mistakes in the command are reported within a second
    from pipeline.engine.cluster import capacity, cluster
    from pipeline.engine.tasks import map_tasks

    seconds = config.limits.stall_seconds
    total = sum(work.both.num_rows for work in to_hash)
    try:
        with cluster(config.run.address, config.run.workers):
            stop_on_signals()
            workers = config.run.workers or capacity(config.run.address)[0]
            with Reporter(total, words=("verifying", "files", "findings")) as reporter:
                hashed = map_tasks(check_shard, _shards(config, to_hash, workers), workers, seconds)
                for checked in hashed:
                    tally.objects += checked.objects
                    tally.bytes += checked.bytes
                    tally.findings.append(checked.findings)
                    reporter.show(tally.objects, tally.finding_count)
    except KeyboardInterrupt:
        raise FiatColorError(
            f"interrupted after {tally.objects:,} of {counted(total, 'file')}; "
            "the rest is unknown, run it again"
        ) from None


def _shards(
    config: JobConfig, to_hash: list[_ToHash], workers: int
) -> Iterator[tuple[Store, pa.Table, ObjectCodes, int]]:
    """The arguments of `check_shard` for each shard."""
    for work in to_hash:
        for start, stop in cut(work.both["bytes"].to_numpy(), workers):
            # `take` copies; a slice would send the whole table to the worker
            shard = work.both.take(pa.array(np.arange(start, stop)))
            yield work.store, shard, work.codes, config.run.threads
