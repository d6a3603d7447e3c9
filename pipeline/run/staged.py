"""Staged topology: CPU tasks, predict actors (on GPUs), CPU tasks, each sized apart.

Between the stages travel a shard's encoded bytes, model inputs and chroma; full-resolution pixels never do,
so the last stage decodes once more, and the first one large JPEGs only as large as the network needs them:
the network's input, and with it the chroma, then differ from the fused topology's by rounding.
"""

from __future__ import annotations

import time
from typing import Any

import pyarrow as pa

from pipeline.engine.transport import pack, shard_of, unpack
from pipeline.records import Item
from pipeline.run.attempts import RemoteAttempts
from pipeline.shard.fused import lost_row
from pipeline.shard.job import Job
from pipeline.shard.predictors import Predictors
from pipeline.shard.prepared import Prepared
from pipeline.shard.result import Begun
from pipeline.shard.worker import Bench

_held: dict[tuple[str, str, str, str], Bench] = {}


def bench_of(job: Job) -> Bench:
    """This worker process's bench for the job, made on first use; an earlier job's is closed."""
    key = (job.run_id, job.input, job.output, job.job_digest)
    if key not in _held:
        for earlier in _held.values():
            earlier.close()
        _held.clear()
        _held[key] = Bench(job)
    return _held[key]


def fetch_decode(batch: pa.Table, job: Job, registry: Any) -> pa.Table:
    """First stage, a CPU task: a plan row becomes prepared items without their full-resolution pixels."""
    shard_id, items = shard_of(batch)
    bench, attempts = bench_of(job), RemoteAttempts(registry)
    begun = Begun(time.time(), attempts.begin(shard_id))
    if begun.attempt > job.config.limits.attempts:
        prepared = [_careful(bench, attempts, shard_id, item) for item in items]
    else:
        prepared = [without_pixels(one) for one in bench.prepared(items, glimpse=True)]
    return pack((shard_id, prepared, begun))


def _careful(bench: Bench, attempts: RemoteAttempts, shard_id: str, item: Item) -> Prepared:
    if item.key in attempts.lost(shard_id):
        return Prepared(item, row=lost_row(bench, item))
    attempts.touch(shard_id, item.key)
    prepared = bench.decode(item, bench.fetch(item), glimpse=True)
    attempts.finish(shard_id, item.key)
    return without_pixels(prepared)


def without_pixels(prepared: Prepared) -> Prepared:
    """What may travel: the encoded source and the model input."""
    prepared.decoded = None
    return prepared


class PredictActor:
    """Second stage: chroma for every image of a shard, in batches of one size."""

    def __init__(self, job: Job, device: str) -> None:
        self.predictors = Predictors(job, device)

    def __call__(self, batch: pa.Table) -> pa.Table:
        shard_id, prepared, begun = unpack(batch)
        waiting = [one for one in prepared if one.row is None]
        start = time.perf_counter()
        self.predictors.color(waiting)
        for one in waiting:
            one.model_L, one.further_L, one.pictures = None, [], {}
        share = (time.perf_counter() - start) / max(1, len(waiting))
        for one in waiting:
            one.seconds_predict = share
        return pack((shard_id, prepared, begun))


def compose_commit(batch: pa.Table, job: Job) -> pa.Table:
    """Third stage, a CPU task: decode again, compose, encode, put; then the ledger part."""
    shard_id, prepared, begun = unpack(batch)
    bench = bench_of(job)
    return pack(bench.commit(shard_id, [bench.finish(one) for one in bench.redecoded(prepared)], begun))
