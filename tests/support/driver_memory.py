"""The memory of a run's driver: plan, results, closing, with simulated photographs and no workers.

    python -m tests.support.driver_memory 1000 100000

Prints, for each number of images, the seconds and the peak memory of the process in MiB.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from datetime import UTC, datetime
from typing import Any, cast

from pipeline.benchmark.fresh_process import measured
from pipeline.benchmark.simulated_archive import ArchiveKeys, SimulatedArchive
from pipeline.config.job import JobConfig, ReportConfig
from pipeline.ledger.schema import LedgerRow, ledger_table
from pipeline.ledger.write import commit_part
from pipeline.plan.plan import make_plan, write_plan
from pipeline.plan.shards import Shard
from pipeline.records import Status
from pipeline.report.tally import RunTally
from pipeline.run.close import Clock, close_run
from pipeline.run.layout import Layout, Resources
from pipeline.shard.job import Job
from pipeline.shard.open_guides import open_guides
from pipeline.storage import Store, open_store

_DIGEST, _RUN = "0" * 16, "20260101-000000-simulated"


def results(shard: Shard) -> list[LedgerRow]:
    """What a worker would report: one image in twenty has failed."""
    now, rows = datetime.now(UTC), []
    for number, item in enumerate(shard.items):
        row = LedgerRow(
            item.key, item.etag, item.bytes, Status.COLORIZED, 1, "unet", "0" * 64, _DIGEST, _RUN, now
        )
        if number % 20 == 0:
            row.status, row.failure_code, row.message = Status.FAILED, "corrupt", f"{item.key} is damaged"
        else:
            row.output_key, row.output_sha256, row.source_sha256 = item.output_key, "1" * 64, "2" * 64
            row.width, row.height, row.mode, row.pages = 1024, 768, "L", 1
            row.max_delta_l, row.mean_chroma, row.colorfulness = 0.4, 11.0, 21.0
            row.seconds_decode, row.seconds_predict, row.seconds_compose = 0.01, 0.06, 0.02
        rows.append(row)
    return rows


def drive(scratch: str, count: str) -> dict[str, Any]:
    """A run over this many images, as `run.colorize` drives it."""
    started = time.time()
    config = JobConfig(report=ReportConfig(sample=0))
    source, out = cast(Store, SimulatedArchive(ArchiveKeys(int(count)))), open_store(scratch, config.storage)
    plan = make_plan(source, out, config, _DIGEST, workers=8, guides=open_guides(source, config))
    write_plan(out, _RUN, plan)
    planned = time.time()
    tally = RunTally(sample=24)
    for shard in plan.shards:
        rows = results(shard)
        commit_part(out, _DIGEST, shard.shard_id, rows)
        tally.add(ledger_table(rows))
    job = Job(config, source.uri, out.uri, _RUN, _DIGEST, "0" * 64)
    layout = Layout("fused", 8, 0, "fp32")
    clock = Clock(started, started, planned, planned, time.time())
    summary = close_run(job, plan, layout, tally, clock, Resources(8, 0), source, out)
    return {"images": summary.todo, "failed": summary.counts[Status.FAILED]}


def main(*counts: str) -> None:
    for count in counts:
        with tempfile.TemporaryDirectory() as scratch:
            result = measured("tests.support.driver_memory:drive", scratch, count, as_driver=True)
        print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
