"""Measure time and memory for planning a large archive, by how much of it is already done."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any, cast

import pyarrow as pa

from pipeline import __version__
from pipeline.benchmark.fresh_process import measured
from pipeline.benchmark.simulated_archive import ArchiveKeys, SimulatedArchive, etag_of, size_of
from pipeline.config.job import JobConfig, job_digest
from pipeline.ledger.keys import part_key, run_folder
from pipeline.ledger.schema import LEDGER_SCHEMA
from pipeline.ledger.write import parquet_bytes
from pipeline.plan.plan import make_plan, write_plan
from pipeline.records import Status
from pipeline.shard.open_guides import open_guides
from pipeline.storage import Store, open_store

_IN_SHARD = 512
_WORKERS = 64
_WEIGHTS = "0" * 64
#: What is the same in all rows of the ledger: a coloured image.
_SAME: dict[str, Any] = {
    "status": str(Status.COLORIZED),
    "attempts": 1,
    "width": 1024,
    "height": 768,
    "mode": "L",
    "source_sha256": "1" * 64,
    "output_sha256": "2" * 64,
    "method": "unet",
    "weights_digest": _WEIGHTS,
    "run_id": "20260101-000000-simulated",
    "finished_at": 1_767_225_600_000_000,
}


def measure_planning(count: int, folder: Path) -> dict[str, Any]:
    """Plan `count` simulated objects of which none, half and all are done, each in a fresh Python.

    The ledgers are real ones, below `folder`, and removed afterwards; a plan is written there, too.

    Raises:
        RunError: one of them failed; the message says how.
    """
    config = JobConfig()
    digest = job_digest(config, _WEIGHTS)
    results: dict[str, Any] = {"objects": count, "cores": len(os.sched_getaffinity(0))}
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        out, done = open_store(scratch, config.storage), 0
        for name, wanted in (("nothing_done", 0), ("half_done", count // 2), ("all_done", count)):
            _add_rows(out, digest, done, wanted)
            done = wanted
            words = (scratch, str(count), digest, name)
            results[name] = measured("pipeline.benchmark.planning:plan", *words, as_driver=True)
    return results | {"versions": {"fiat-color": __version__, "pyarrow": pa.__version__}}


def _add_rows(out: Store, digest: str, start: int, stop: int) -> None:
    """Ledger parts of the objects from `start` to `stop`, as a run would have left them."""
    keys = ArchiveKeys(stop)
    for first in range(start, stop, _IN_SHARD):
        indices = range(first, min(first + _IN_SHARD, stop))
        names = keys[first : indices.stop]
        own: dict[str, list[Any]] = {
            "key": names,
            "etag": [etag_of(i) for i in indices],
            "bytes": [size_of(i) for i in indices],
            "output_key": [f"images/{name}.jpg" for name in names],
        }
        same = _SAME | {"job_digest": digest}
        columns = [
            pa.array(
                own[field.name] if field.name in own else [same.get(field.name)] * len(names), field.type
            )
            for field in LEDGER_SCHEMA
        ]
        table = pa.table(columns, schema=LEDGER_SCHEMA)
        out.put(part_key(digest, f"{first:016x}"), parquet_bytes(table))


def plan(scratch: str, count: str, digest: str, run_id: str) -> dict[str, float]:
    """Make the plan and write it, and return what was measured."""
    config = JobConfig()
    out = open_store(scratch, config.storage)
    source = cast(Store, SimulatedArchive(ArchiveKeys(int(count))))
    start = time.perf_counter()
    made = make_plan(source, out, config, digest, workers=_WORKERS, guides=open_guides(source, config))
    planned = time.perf_counter()
    write_plan(out, run_id, made)
    written = time.perf_counter()
    file = Path(scratch, run_folder(run_id), "plan/shards.parquet")
    cpu = os.times()
    return {
        "to_do": made.todo_items,
        "shards": len(made.shards),
        "seconds_plan": round(planned - start, 1),
        "seconds_write": round(written - planned, 1),
        "cpu_seconds": round(cpu.user + cpu.system, 1),
        "plan_bytes": file.stat().st_size,
    }
