"""Fused topology: one worker does every stage of a shard, each pixel decoded once and never sent.

Best where there is no GPU. With one, workers share it where it composes too: see `gpu_share`.
"""

from __future__ import annotations

import io
import time
from concurrent.futures import Future

import numpy as np
from PIL import Image

from pipeline.codecs.everyday import Decoded
from pipeline.errors import FailureCode
from pipeline.ledger.schema import LedgerRow
from pipeline.models.registry import METHODS
from pipeline.records import Item
from pipeline.shard.compose import compose
from pipeline.shard.compose.on_torch import TorchCompose
from pipeline.shard.decode import decode_item
from pipeline.shard.finish import finish_image
from pipeline.shard.job import Job
from pipeline.shard.predictors import Predictors
from pipeline.shard.prepared import Attempts, Prepared
from pipeline.shard.result import Begun, ShardResult
from pipeline.shard.worker import Bench


class FusedWorker:
    """Colours whole shards; plain Python, so a test or a benchmark can call it without Ray.

    `device` is where the network runs, and what composes where `run.compose` is gpu.
    """

    def __init__(self, job: Job, attempts: Attempts, device: str = "cpu") -> None:
        self.job = job
        self.attempts = attempts
        self.bench = Bench(job, TorchCompose(device) if job.config.run.compose == "gpu" else compose)
        self.predictors = Predictors(job, device)
        self._warm_up()

    def _warm_up(self) -> None:
        """Start the decoder, load compiled code and the network before there is work to wait for them."""
        buffer = io.BytesIO()
        Image.new("L", (64, 64), 128).save(buffer, "JPEG")
        decoded = decode_item(self.bench.decoder, "warm-up.jpg", buffer.getvalue(), None, self.job.config)
        if isinstance(decoded, Decoded):
            method, ab = self.job.config.model.method, np.zeros((2, 8, 8), np.float32)
            if not METHODS[method].needs:
                ab = self.predictors.of(method)([decoded.model_L])[0]
            finish_image(decoded, ab, Item("warm-up.jpg", "", 0), "", self.job, self.bench.compose)

    def run(self, shard_id: str, items: list[Item]) -> ShardResult:
        """Colour and commit one shard; after too many lost workers, image by image.

        Raises:
            StorageError: the stores cannot be read or written; nothing is committed.
        """
        begun = Begun(time.time(), self.attempts.begin(shard_id))
        if begun.attempt > self.job.config.limits.attempts:
            rows = self._one_by_one(shard_id, items)
        else:
            rows = [self._color(prepared) for prepared in self.bench.prepared(items)]
        return self.bench.commit(shard_id, rows, begun)

    def _color(self, prepared: Prepared) -> LedgerRow | Future[LedgerRow]:
        if prepared.row is None:
            start = time.perf_counter()
            self.predictors.color([prepared])
            prepared.seconds_predict = time.perf_counter() - start
        return self.bench.finish(prepared)

    def _one_by_one(self, shard_id: str, items: list[Item]) -> list[LedgerRow | Future[LedgerRow]]:
        """Slow and careful: an image that took a worker down when it was alone is failed, not tried again."""
        rows: list[LedgerRow | Future[LedgerRow]] = []
        for item in items:
            if item.key in self.attempts.lost(shard_id):
                rows.append(lost_row(self.bench, item))
                continue
            self.attempts.touch(shard_id, item.key)
            row = self._color(self.bench.decode(item, self.bench.fetch(item)))
            rows.append(row.result() if isinstance(row, Future) else row)
            self.attempts.finish(shard_id, item.key)
        return rows


def gpu_share(workers: int, gpus: int) -> float:
    """What each of so many workers holds of a GPU, so that all find a place; 0 where there is none."""
    return 1 / -(-workers // gpus) if gpus else 0.0


def lost_row(bench: Bench, item: Item) -> LedgerRow:
    """The row of an image that takes its worker down."""
    message = "its worker died while it coloured this image alone; lower limits.pixels or model.side"
    return bench.rows.failed(item, FailureCode.WORKER_LOST, message)
