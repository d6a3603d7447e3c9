"""Fused topology: one worker does all stages of a shard; each pixel is decoded once and never sent.

Best without a GPU. With a GPU that also composes, workers share it: see `gpu_share`.
"""

from __future__ import annotations

import io
import time
from concurrent.futures import Future

import numpy as np
from PIL import Image

from pipeline.codecs.in_memory import Decoded, decode
from pipeline.codecs.pixels import DecodeLimits
from pipeline.config.job import JobConfig
from pipeline.ledger.schema import LedgerRow
from pipeline.models.method_list import METHODS
from pipeline.records import Item
from pipeline.shard.attempts import Attempt, Attempts
from pipeline.shard.compose import compose
from pipeline.shard.compose.on_torch import TorchCompose
from pipeline.shard.decode import decode_item
from pipeline.shard.finish import finish_image
from pipeline.shard.gallery_thumbnails import load_area_kernels
from pipeline.shard.image_progress import ImageProgress
from pipeline.shard.job import Job, SourceImage
from pipeline.shard.predictors import Predictors
from pipeline.shard.result import ShardResult
from pipeline.shard.stages import LocalSource, PreparedImage
from pipeline.shard.worker import ShardWorker

_GRAY = "warm-up.jpg"


class FusedWorker:
    """Colours whole shards; plain Python, so that any process can call it, with Ray or without.

    `device` is where the network runs, and what composes where `run.compose` is gpu.
    """

    def __init__(self, job: Job, attempts: Attempts, device: str = "cpu") -> None:
        self.job = job
        self.attempts = attempts
        self.shard_worker = ShardWorker(
            job, TorchCompose(device) if job.config.run.compose == "gpu" else compose
        )
        self.predictors = Predictors(job, device)
        self._warm_up()

    def _warm_up(self) -> None:
        """Start the decoder and load compiled code and the network before work arrives, unless there may be
        no such work."""
        if self.job.has_finished:
            return
        decoded = decode_item(self.shard_worker.reader.decoder, _GRAY, _gray(), None, self.job.config)
        if self.job.config.report.gallery:
            load_area_kernels()
        if isinstance(decoded, Decoded):
            method, ab = self.job.config.model.method, np.zeros((2, 8, 8), np.float32)
            if not METHODS[method].needs:
                ab = self.predictors.of(method)([decoded.model_L])[0]
            image = self.job.source_image(Item(_GRAY, "", 0))
            finish_image(decoded, ab, image, "", self.job, self.shard_worker.compose)

    def close(self) -> None:
        """Stop the decoder, drop work that has not started, and wait for files being written."""
        self.shard_worker.close()
        self.shard_worker.threads.shutdown()

    def run(self, shard_id: str, items: list[Item]) -> ShardResult:
        """Colour and commit one shard; image by image after too many lost workers.

        Raises:
            StorageError: the stores cannot be read or written; nothing is committed.
        """
        attempt = Attempt(time.time(), self.attempts.begin(shard_id))
        rows: list[LedgerRow | Future[LedgerRow]]
        if attempt.number > self.job.config.limits.attempts:
            rows = self._one_by_one(shard_id, items)
        else:
            progress = ImageProgress(self.attempts, shard_id)
            made, images = self.shard_worker.second_files.rows_of(map(self.job.source_image, items), progress)
            rows = [*made]
            for prepared in self.shard_worker.reader.prepared(images):
                rows.append(self._color(prepared))
                progress(rows)
        return self.shard_worker.commit(shard_id, rows, attempt)

    def _color(self, prepared: PreparedImage[LocalSource] | LedgerRow) -> LedgerRow | Future[LedgerRow]:
        if isinstance(prepared, LedgerRow):
            return prepared
        (predicted,) = self.predictors.color([prepared])
        return self.shard_worker.finish(predicted)

    def _one_by_one(self, shard_id: str, items: list[Item]) -> list[LedgerRow | Future[LedgerRow]]:
        """Process images one by one. An image that killed its worker when alone fails and is not retried."""
        rows: list[LedgerRow | Future[LedgerRow]] = []
        progress = ImageProgress(self.attempts, shard_id)
        for item in items:
            if item.key in self.attempts.lost(shard_id):
                rows.append(self.shard_worker.lost_row(item))
                continue
            self.attempts.touch(shard_id, item.key)
            made, images = self.shard_worker.second_files.rows_of([self.job.source_image(item)])
            rows += [*made, *map(self._color_alone, images)]
            self.attempts.finish(shard_id, item.key)
            progress(rows)
        return rows

    def _color_alone(self, image: SourceImage) -> LedgerRow:
        reader = self.shard_worker.reader
        row = self._color(reader.decode(image, reader.fetch(image)))
        return row.result() if isinstance(row, Future) else row


def load_kernels() -> None:
    """Load the compiled code that workers use before they are forked. This process has one thread and must
    not get more; nothing else is kept."""
    job = Job(JobConfig(), "", "", "", "", "")
    model, limits = job.config.model, DecodeLimits(pixels=10_000, memory=job.config.limits.memory)
    settings = {name: getattr(model, name) for name in ("skip_color", "color_threshold")}
    decoded = decode(_gray(), _GRAY, None, limits, model_side=model.side, **settings)
    if isinstance(decoded, Decoded):
        ab = np.zeros((2, 8, 8), np.float32)
        finish_image(decoded, ab, job.source_image(Item(_GRAY, "", 0)), "", job, compose)
    load_area_kernels()


def _gray() -> bytes:
    """A small JPEG."""
    buffer = io.BytesIO()
    Image.new("L", (64, 64), 128).save(buffer, "JPEG")
    return buffer.getvalue()


def gpu_share(workers: int, gpus: int) -> float:
    """The share of a GPU for each of this many workers, so that all fit; 0 without GPUs."""
    return 1 / -(-workers // gpus) if gpus else 0.0
