"""Fused topology: one worker does every stage of a shard. Best where there is no GPU and few cores."""

from __future__ import annotations

import io
import time
from concurrent.futures import Future

from PIL import Image

from pipeline.codecs.everyday import Decoded
from pipeline.errors import FailureCode
from pipeline.flow.finish import finish_image
from pipeline.flow.job import Job
from pipeline.flow.prepared import Attempts, Prepared
from pipeline.flow.result import ShardResult
from pipeline.flow.work import Bench
from pipeline.models.registry import load_colorizer
from pipeline.records import Item, LedgerRow
from pipeline.stages.decode import decode_item
from pipeline.stages.predict import Predictor


class FusedWorker:
    """Colours whole shards; plain Python, so a test or a benchmark can call it without Ray."""

    def __init__(self, job: Job, attempts: Attempts, device: str = "cpu") -> None:
        self.job = job
        self.attempts = attempts
        self.bench = Bench(job)
        self.predictor = open_predictor(job, device)
        self._warm_up()

    def _warm_up(self) -> None:
        """Start the decoder, load compiled code and the network before there is work to wait for them."""
        buffer = io.BytesIO()
        Image.new("L", (64, 64), 128).save(buffer, "JPEG")
        decoded = decode_item(self.bench.decoder, "warm-up.jpg", buffer.getvalue(), None, self.job.config)
        if isinstance(decoded, Decoded):
            finish_image(decoded, self.predictor([decoded.model_L])[0], "warm-up.jpg", "", self.job)

    def run(self, shard_id: str, items: list[Item]) -> ShardResult:
        """Colour and commit one shard; after too many lost workers, image by image.

        Raises:
            StorageError: the stores cannot be read or written; nothing is committed.
        """
        began = time.time()
        if self.attempts.begin(shard_id) > self.job.config.limits.attempts:
            rows = self._one_by_one(shard_id, items)
        else:
            rows = [self._color(prepared) for prepared in self.bench.prepared(items)]
        return self.bench.commit(shard_id, rows, began)

    def _color(self, prepared: Prepared) -> LedgerRow | Future[LedgerRow]:
        if prepared.row is None:
            assert prepared.model_L is not None
            start = time.perf_counter()
            prepared.ab, *prepared.further_ab = self.predictor([prepared.model_L, *prepared.further_L])
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


def lost_row(bench: Bench, item: Item) -> LedgerRow:
    """The row of an image that takes its worker down."""
    message = "its worker died while it coloured this image alone; lower limits.pixels or model.side"
    return bench.rows.failed(item, FailureCode.WORKER_LOST, message)


def open_predictor(job: Job, device: str) -> Predictor:
    """The job's network on this device, ready for batches."""
    model = job.config.model
    loaded = load_colorizer(
        model.method, model.weights, precision=model.precision, device=device, storage=job.config.storage
    )
    return Predictor(
        loaded.colorizer, device=device, batch=model.batch, neutral_borders=model.neutral_borders
    )
