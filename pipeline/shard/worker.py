"""Process one shard, from source keys to a committed ledger part, in plain Python; engines run it.

Reading, decoding, colouring and writing overlap: downloads and uploads run on threads, decoding in a child
process, the network in this one.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.codecs.metadata.c2pa_manifest import open_signer
from pipeline.config.job import JobConfig
from pipeline.errors import BadKey, FailureCode
from pipeline.ledger.doubt_maps import DoubtMap, put_doubt_maps
from pipeline.ledger.schema import LedgerRow
from pipeline.ledger.write import commit_part
from pipeline.plan.outputs import document_key, page_key
from pipeline.records import GRAY, Item, Status
from pipeline.shard.attempts import Attempt
from pipeline.shard.borrowed_chroma import along_edges
from pipeline.shard.compose import Compose, compose
from pipeline.shard.delivered_files import DeliveredFile, file_columns
from pipeline.shard.derivatives import SecondFiles
from pipeline.shard.finish import EncodedResult, finish_document, finish_image, joined_pages, provenance_of
from pipeline.shard.gallery_thumbnails import Pictures, Small
from pipeline.shard.hints import guided_chroma, network_takes_hints, times_chroma
from pipeline.shard.job import Job, SourceImage
from pipeline.shard.masters import finish_master
from pipeline.shard.memory import give_back_after
from pipeline.shard.put import put_image
from pipeline.shard.read_ahead import in_flight
from pipeline.shard.result import ShardResult
from pipeline.shard.rows import Result, Rows
from pipeline.shard.source_reader import SourceReader
from pipeline.shard.stages import LocalSource, MasterSource, OpenSource, PredictedImage
from pipeline.storage import Store, open_store

_PAGES_AHEAD = 2  # pages of one source uploaded while the next one is composed


class ShardWorker:
    """The state of a worker process between shards: the `reader` of sources, and the writers of results."""

    def __init__(self, job: Job, compose: Compose = compose) -> None:
        self.job = job
        self.compose = compose
        self.rows = Rows(job)
        self.threads = ThreadPoolExecutor(job.config.run.threads, "transfer")
        self.out: Store = open_store(job.output, job.config.storage)
        self.pictures = Pictures(job.config, self.out, self.threads)
        self.reader = SourceReader(job, self.rows, self.threads, self.pictures)
        self.second_files = SecondFiles(job, self.out, self.rows)
        self.signer = open_signer(job.config.output.c2pa)
        self.written: list[int] = []  # bytes of each image of the present shard; threads append to it
        self.doubt_maps: dict[str, DoubtMap] = {}  # of the present shard, by source key

    def close(self) -> None:
        """Stop the threads and the decoder's child process."""
        self.threads.shutdown(wait=False, cancel_futures=True)
        self.reader.close()

    def finish(self, predicted: PredictedImage[LocalSource] | LedgerRow) -> LedgerRow | Future[LedgerRow]:
        """Compose and encode here, write on a thread. Returns the row or its future; passes rows on."""
        if isinstance(predicted, LedgerRow):
            return predicted
        source, doubt = predicted.source, predicted.doubt
        if doubt is not None and doubt.places is not None:
            self.doubt_maps[predicted.image.item.key] = doubt.places
        if isinstance(source, MasterSource):
            return self._finish_master(predicted, source)
        return self._finish_open(predicted, source)

    def _finish_open(
        self, predicted: PredictedImage[LocalSource], source: OpenSource
    ) -> LedgerRow | Future[LedgerRow]:
        image, start = predicted.image, time.perf_counter()
        digest = hashlib.sha256(source.encoded.data).hexdigest()
        try:
            if len(predicted.ab_pages) > 1 and self.job.config.output.has_separate_pages:
                return self._finish_pages(predicted, source, digest, start)
            key, finished = self._finished(predicted, source, digest)
        except Exception as error:
            return self.rows.of_error(image, error)
        files = [delivered(key, finished)]
        row = self._colorized(predicted, source, finished, files, digest)
        before = source.pixels.small
        return self.threads.submit(self._put_one, row, key, finished, before, start)

    def _colorized(
        self,
        predicted: PredictedImage[LocalSource],
        source: OpenSource,
        result: Result,
        files: Sequence[DeliveredFile],
        digest: str,
    ) -> LedgerRow:
        return self.rows.colorized(
            predicted,
            source.pixels,
            result,
            source.pixels.pages,
            source_sha256=digest,
            **file_columns(files),
        )

    def _finished(
        self, predicted: PredictedImage[LocalSource], source: OpenSource, digest: str
    ) -> tuple[str, EncodedResult]:
        """The one file of a source, and where it goes."""
        image, given = predicted.image, (digest, self.job, self.compose)
        if len(abs_ := chroma_of_pages(predicted)) > 1:
            key = document_key(image.item.key, self.job.config.output)
            pages = self.reader.pages(image.item.key, source, len(abs_))
            finished = finish_document(pages, abs_, image, *given)
        else:
            key = image.output_key
            finished = finish_image(source.pixels, chroma(predicted, source, self.job.config), image, *given)
        finished = self._signed(finished, image, source.encoded.data, digest)
        return key, replace(finished, note=with_guides(finished.note, image))

    def _finish_pages(
        self, predicted: PredictedImage[LocalSource], source: OpenSource, digest: str, start: float
    ) -> LedgerRow:
        """Write one file per page, with few in memory; the row names them all after all are written."""
        image, output = predicted.image, self.job.config.output

        def finished() -> Iterator[tuple[str, EncodedResult]]:
            abs_ = chroma_of_pages(predicted)
            pages = self.reader.pages(image.item.key, source, len(abs_))
            for number, (page, ab) in enumerate(zip(pages, abs_, strict=True), 1):
                key = page_key(image.item.key, number, output)
                one = finish_image(page, ab, image, digest, self.job, self.compose, output_key=key)
                one = one if number == 1 else replace(one, small=None)
                yield key, self._signed(one, image, source.encoded.data, digest)

        def put(one: tuple[str, EncodedResult]) -> tuple[DeliveredFile, EncodedResult]:
            self._put(*one)
            return delivered(*one), replace(one[1], data=b"", derivative=None)

        written = [future.result() for future in in_flight(self.threads, put, finished(), _PAGES_AHEAD)]
        files, pages = zip(*written, strict=True)
        result = joined_pages(pages)
        result = replace(result, note=with_guides(result.note, image))
        row = self._colorized(predicted, source, result, files, digest)
        self.pictures.put_both(row, source.pixels.small, pages[0].small)
        row.seconds_compose = time.perf_counter() - start
        return row

    def _signed(
        self, finished: EncodedResult, image: SourceImage, source: bytes, digest: str
    ) -> EncodedResult:
        """The image with manifests in both files, if there is a signer."""
        if self.signer is None:
            return finished
        provenance, output = provenance_of(self.job, image, digest), self.job.config.output
        second = finished.derivative
        if second is not None:
            of_second = output.derivative.file_format
            data = self.signer.sign(second.data, source, of_second, provenance, resized=second.resized)
            second = replace(second, data=data)
        data = self.signer.sign(finished.data, source, finished.format, provenance)
        return replace(finished, data=data, derivative=second)

    def _finish_master(self, predicted: PredictedImage[LocalSource], source: MasterSource) -> LedgerRow:
        """The second pass over a master, and its upload. Not on a thread, because it uses all resources."""
        image, start = predicted.image, time.perf_counter()
        try:
            master, columns, written = finish_master(
                self.reader.source,
                self.out,
                image,
                chroma_of_pages(predicted),
                source.real_colours,
                self.job,
                self.signer,
            )
        except Exception as error:
            return self.rows.of_error(image, error)
        self.written.append(written)
        row = self.rows.colorized(
            predicted,
            master,
            master,
            len(predicted.ab_pages),
            **columns,
            seconds_compose=time.perf_counter() - start,
        )
        self.pictures.put_both(row, *(master.small or (None, None)))
        return row

    def _put_one(
        self, row: LedgerRow, key: str, finished: EncodedResult, before: Small | None, start: float
    ) -> LedgerRow:
        try:
            self._put(key, finished)
            self.pictures.put_both(row, before, finished.small)
        except BadKey as error:
            return replace(
                row,
                status=Status.FAILED,
                failure_code=FailureCode.BAD_KEY,
                message=str(error),
                output_key=None,
                output_sha256=None,
                derivative_key=None,
                derivative_sha256=None,
            )
        row.seconds_compose = time.perf_counter() - start
        row.finished_at = self.job.time_of_row()
        return row

    def _put(self, key: str, finished: EncodedResult) -> None:
        """Write a colour image, then its second file."""
        put_image(self.out, key, finished.data, finished.format)
        if (second := finished.derivative) is not None:
            put_image(self.out, second.key, second.data, self.job.config.output.derivative.file_format)
        self.written.append(len(finished.data))

    def lost_row(self, item: Item) -> LedgerRow:
        """The row of an image that kills its worker."""
        message = "its worker died while it coloured this image alone; lower limits.pixels or model.side"
        return self.rows.failed(self.job.source_image(item), FailureCode.WORKER_LOST, message)

    def commit(
        self, shard_id: str, rows: list[LedgerRow | Future[LedgerRow]], attempt: Attempt
    ) -> ShardResult:
        """Wait for the last images, then write the ledger part; the part is the commit."""
        done = [row.result() if isinstance(row, Future) else row for row in rows]
        self.pictures.wait()
        put_doubt_maps(self.out, self.job.run_id, shard_id, done, self.doubt_maps)
        self.doubt_maps = {}
        won = commit_part(self.out, self.job.job_digest, shard_id, done)
        written, self.written = sum(self.written), []
        give_back_after((row.width or 0) * (row.height or 0) for row in done)
        return ShardResult.of(shard_id, done, won, attempt, written)


def chroma(
    predicted: PredictedImage[LocalSource], source: OpenSource, config: JobConfig
) -> NDArray[np.float32]:
    """The chroma to compose, float32[2,h,w]: the prediction, with the image's hints spread over it (unless
    the network has used them), times the image's factor.

    Raises:
        ImageFailure: the scribbles cannot be decoded or do not fit.
    """
    ab = predicted.ab_pages[0] if predicted.ab_pages else None
    if ab is not None and predicted.image.guide.picture is not None:
        ab = along_edges(ab, source.pixels.L_u16)
    spreads = not network_takes_hints(config, predicted.image)
    given = (predicted.image.guide, predicted.scribbles)
    return guided_chroma(source.pixels.L_u16, ab, *given, spreads=spreads)


def chroma_of_pages(predicted: PredictedImage[LocalSource]) -> tuple[NDArray[np.float32], ...]:
    """For each page the chroma to compose, of an image that has no hints."""
    return tuple(times_chroma(ab, predicted.image.guide) for ab in predicted.ab_pages)


def delivered(key: str, finished: EncodedResult) -> DeliveredFile:
    """How the ledger names an encoded image that goes to this key."""
    digest, second = hashlib.sha256(finished.data).hexdigest(), finished.derivative
    if second is None:
        return DeliveredFile(key, digest)
    return DeliveredFile(key, digest, second.key, hashlib.sha256(second.data).hexdigest())


def with_guides(note: str | None, image: SourceImage) -> str | None:
    """The note for an image's row, including its guides."""
    kinds = image.guide.kinds
    gray = "no colour was added" if image.method == GRAY else None
    guided = f"guided by {', '.join(kinds)}" if kinds else None
    return "; ".join(filter(None, [note, gray, guided])) or None
