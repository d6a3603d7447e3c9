"""Staged topology: CPU tasks, predict actors (on GPUs) and CPU tasks, each scaled independently.

The stages pass on a shard's encoded bytes, model inputs and chroma, but never full-resolution pixels. So the
last stage decodes again, and the first stage decodes large JPEGs only as large as the network needs. The
network's input, and so the chroma, then differs from the fused topology's by rounding.
"""

from __future__ import annotations

import time
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline.engine.actors import RowActor
from pipeline.engine.transport import pack, shard_of, unpack
from pipeline.ledger.schema import LedgerRow
from pipeline.records import Item
from pipeline.run.remote_attempts import RemoteAttempts
from pipeline.shard.attempts import Attempt, Attempts
from pipeline.shard.image_progress import ImageProgress
from pipeline.shard.job import Job
from pipeline.shard.predictors import Predictors
from pipeline.shard.stages import (
    LocalSource,
    PredictedImage,
    PreparedImage,
    TransferableSource,
    without_pixels,
)
from pipeline.shard.worker import ShardWorker

_workers: dict[tuple[str, str, str, str], ShardWorker] = {}


def worker_of(job: Job) -> ShardWorker:
    """This process's shard worker for the job, created on first use; closes the worker of an earlier job."""
    key = (job.run_id, job.input, job.output, job.job_digest)
    if key not in _workers:
        for earlier in _workers.values():
            earlier.close()
        _workers.clear()
        _workers[key] = ShardWorker(job)
    return _workers[key]


@dataclass(frozen=True)
class PreparedShard:
    """A shard between the first two stages."""

    shard_id: str
    attempt: Attempt
    images: list[PreparedImage[TransferableSource] | LedgerRow]


@dataclass(frozen=True)
class PredictedShard:
    """A shard between the last two stages."""

    shard_id: str
    attempt: Attempt
    images: list[PredictedImage[TransferableSource] | LedgerRow]


def fetch_decode(batch: pa.Table, job: Job, registry: Any) -> pa.Table:
    """First stage, a CPU task: a plan row becomes prepared images without their full-resolution pixels."""
    shard_id, items = shard_of(batch)
    worker, attempts = worker_of(job), RemoteAttempts(registry)
    attempt = Attempt(time.time(), attempts.begin(shard_id))
    if attempt.number > job.config.limits.attempts:
        images = [_one_alone(worker, attempts, shard_id, item) for item in items]
    else:
        made, sources = worker.second_files.rows_of(job.source_image(item) for item in items)
        images = [*made, *map(_travelling, worker.reader.prepared(sources, model_only=True))]
    return pack(PreparedShard(shard_id, attempt, images))


def _one_alone(
    worker: ShardWorker, attempts: Attempts, shard_id: str, item: Item
) -> PreparedImage[TransferableSource] | LedgerRow:
    """Process images one by one. An image that killed its worker when alone fails and is not retried."""
    if item.key in attempts.lost(shard_id):
        return worker.lost_row(item)
    attempts.touch(shard_id, item.key)
    made, images = worker.second_files.rows_of([worker.job.source_image(item)])
    reader = worker.reader
    alone = [_travelling(reader.decode(one, reader.fetch(one), model_only=True)) for one in images]
    attempts.finish(shard_id, item.key)
    return [*made, *alone][0]


def _travelling(
    prepared: PreparedImage[LocalSource] | LedgerRow,
) -> PreparedImage[TransferableSource] | LedgerRow:
    return prepared if isinstance(prepared, LedgerRow) else without_pixels(prepared)


class PredictActor(RowActor):
    """Second stage: chroma for every image of a shard, in batches of one size."""

    def open(self, job: Job, device: str) -> None:
        self.predictors = Predictors(job, device)

    def work(self, batch: pa.Table) -> pa.Table:
        shard: PreparedShard = unpack(batch)
        waiting = [one for one in shard.images if not isinstance(one, LedgerRow)]
        predicted = iter(self.predictors.color(waiting))
        images = [one if isinstance(one, LedgerRow) else next(predicted) for one in shard.images]
        return pack(PredictedShard(shard.shard_id, shard.attempt, images))


def compose_commit(batch: pa.Table, job: Job, registry: Any) -> pa.Table:
    """Third stage, a CPU task: decode again, compose, encode, put; then the ledger part."""
    shard: PredictedShard = unpack(batch)
    worker = worker_of(job)
    rows: list[LedgerRow | Future[LedgerRow]] = []
    progress = ImageProgress(RemoteAttempts(registry), shard.shard_id)
    for one in worker.reader.reopened(shard.images):
        rows.append(worker.finish(one))
        progress(rows)
    return pack(worker.commit(shard.shard_id, rows, shard.attempt))
