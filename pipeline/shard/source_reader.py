"""Read a worker's sources in advance: fetch objects on threads, decode them in a child process."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from pipeline.codecs.in_memory import Decoded
from pipeline.errors import FailureCode, ImageFailure
from pipeline.ledger.schema import LedgerRow
from pipeline.shard.decode import Failed, Skipped, decode_item, open_decoder
from pipeline.shard.gallery_thumbnails import Pictures, thumbnail_side
from pipeline.shard.guide_reader import GuideReader
from pipeline.shard.hints import hints_of, network_takes_hints
from pipeline.shard.job import Job, SourceImage
from pipeline.shard.masters import SourceUnreadable, is_streamed, prepare_master
from pipeline.shard.read_ahead import in_flight
from pipeline.shard.rows import UNREADABLE, Rows
from pipeline.shard.stages import (
    F32,
    EncodedSource,
    LocalSource,
    MasterSource,
    OpenSource,
    PredictedImage,
    PreparedImage,
    TransferableSource,
)
from pipeline.storage import GetResult, Store, open_store

# Decoded images waiting for the network: one is enough to keep it busy, and each may be hundreds of MB.
_DECODED_AHEAD = 2


class SourceReader:
    """Reads and decodes for one worker process; keeps store, threads and child process between shards."""

    def __init__(self, job: Job, rows: Rows, threads: ThreadPoolExecutor, pictures: Pictures) -> None:
        """`threads` fetch; whoever made them shuts them down. `pictures` take those of what is left alone."""
        self.job = job
        self.rows = rows
        self.threads = threads
        self.pictures = pictures
        self.source: Store = open_store(job.input, job.config.storage)
        self.decode_thread = ThreadPoolExecutor(1, "decode")
        self.decoder = open_decoder(job.config)
        self.guides = GuideReader(job, self.decoder)

    def close(self) -> None:
        """Stop the decoding thread and its child process."""
        self.decode_thread.shutdown(wait=False, cancel_futures=True)
        self.decoder.close()

    def fetch(self, image: SourceImage) -> GetResult | MasterSource | LedgerRow:
        """The source bytes, or the row that says why they cannot be read. Masters are not read yet."""
        item = image.item
        if item.failure_code is not None:
            return self.rows.failed(image, item.failure_code, item.message or item.failure_code)
        try:
            if (missing := self.guides.missing(image)) is not None:
                return self.rows.skipped(image, missing)
        except ImageFailure as failure:
            return self.rows.of_error(image, failure)
        return MasterSource() if is_streamed(item, self.job.config) else self._get(image)

    def _get(self, image: SourceImage) -> GetResult | LedgerRow:
        item = image.item
        if item.bytes > self.job.config.limits.memory // 2:
            message = f"the source has {item.bytes:,} bytes, more than half of limits.memory"
            return self.rows.failed(image, FailureCode.TOO_LARGE, message)
        try:
            return self.source.get(item.key, if_etag=item.etag, size=item.bytes)
        except UNREADABLE as error:
            return self.rows.unreadable(image, error)

    def decode(
        self, image: SourceImage, fetched: GetResult | MasterSource | LedgerRow, model_only: bool = False
    ) -> PreparedImage[LocalSource] | LedgerRow:
        """Fetched bytes as pixels and model inputs; a failed or skipped image as its row.

        model_only: only the model inputs are wanted here, so that the pixels may be fewer (`decode_item`).
        """
        match fetched:
            case LedgerRow():
                return fetched
            case MasterSource():
                return self._prepare_master(image)
        return self._decode_bytes(image, fetched, model_only)

    def prepared(
        self, images: Iterable[SourceImage], model_only: bool = False
    ) -> Iterator[PreparedImage[LocalSource] | LedgerRow]:
        """Fetch and decode (see `decode`) ahead of the consumer, in the order of the images."""

        def fetch(image: SourceImage) -> tuple[SourceImage, GetResult | MasterSource | LedgerRow]:
            return image, self.fetch(image)

        def decode(
            fetching: Future[tuple[SourceImage, GetResult | MasterSource | LedgerRow]],
        ) -> PreparedImage[LocalSource] | LedgerRow:
            return self.decode(*fetching.result(), model_only)

        fetching = in_flight(self.threads, fetch, images, self.job.config.run.threads)
        return map(Future.result, in_flight(self.decode_thread, decode, fetching, _DECODED_AHEAD))

    def reopened(
        self, travelled: Iterable[PredictedImage[TransferableSource] | LedgerRow]
    ) -> Iterator[PredictedImage[LocalSource] | LedgerRow]:
        """Images that have come from another process, with their pixels again, one ahead."""
        return map(Future.result, in_flight(self.decode_thread, self._reopen, travelled, _DECODED_AHEAD))

    def pages(self, key: str, source: OpenSource, count: int) -> Iterator[Decoded]:
        """All pages with their pixels, one at a time. Raises ImageFailure if one can no longer be decoded."""
        yield source.pixels
        for number in range(1, count):
            # on the decoding thread, because the decoder is not thread-safe
            outcome = self.decode_thread.submit(self._page, key, source.encoded, number).result()
            if not isinstance(outcome, Decoded):
                code = outcome.code if isinstance(outcome, Failed) else FailureCode.INTERNAL_ERROR
                raise ImageFailure(code, f"page {number + 1}: {outcome.message}")
            yield outcome

    def _prepare_master(self, image: SourceImage) -> PreparedImage[LocalSource] | LedgerRow:
        """The first pass over a master; if it cannot be read in strips, in memory if it fits."""
        start = time.perf_counter()
        try:
            outcome, sha256 = prepare_master(self.source, image.item, self.job.config)
        except ImageFailure as failure:
            if (
                failure.code != FailureCode.UNSUPPORTED
                or image.item.bytes > self.job.config.limits.memory // 2
            ):
                return self.rows.of_error(image, failure)
            fetched = self._get(image)
            return fetched if isinstance(fetched, LedgerRow) else self._decode_bytes(image, fetched)
        except SourceUnreadable as error:
            return self.rows.of_error(image, error)
        seconds = time.perf_counter() - start
        if isinstance(outcome, Skipped):
            return self.rows.skipped(image, outcome, source_sha256=sha256, seconds_decode=seconds)
        master = MasterSource(outcome.real_colours)
        return self._guided(image, master, outcome.L_pages, outcome.color_spread, seconds)

    def _decode_bytes(
        self, image: SourceImage, fetched: GetResult, model_only: bool = False
    ) -> PreparedImage[LocalSource] | LedgerRow:
        encoded = EncodedSource(fetched.data, fetched.content_type)
        model_only = model_only and not network_takes_hints(
            self.job.config, image
        )  # points are in its own pixels
        start = time.perf_counter()
        outcome = self._page(image.item.key, encoded, 0, model_only)
        if model_only and isinstance(outcome, Skipped):  # size and colour are judged by the whole picture
            outcome = self._page(image.item.key, encoded, 0)
        seconds = time.perf_counter() - start
        if not isinstance(outcome, Decoded):
            return self._undecoded(image, encoded, outcome, outcome.message, seconds)
        L_pages, spread = [outcome.model_L], outcome.color_spread
        # For further pages only the network's input is kept; their pixels are decoded again for composing.
        for number in range(1, outcome.pages):
            start = time.perf_counter()
            page = self._page(image.item.key, encoded, number)
            seconds += time.perf_counter() - start
            if not isinstance(page, Decoded):  # it decides for the whole file
                mark = ":" if isinstance(page, Failed) else ""
                message = f"page {number + 1} of {outcome.pages}{mark} {page.message}"
                return self._undecoded(image, encoded, page, message, seconds)
            spread = max(spread, page.color_spread)
            L_pages.append(page.model_L)
        return self._guided(image, OpenSource(encoded, outcome), tuple(L_pages), spread, seconds)

    def _undecoded(
        self,
        image: SourceImage,
        encoded: EncodedSource,
        outcome: Failed | Skipped,
        message: str,
        seconds: float,
    ) -> LedgerRow:
        """The row of a source that is not coloured."""
        columns: dict[str, object] = {
            "source_sha256": (digest := hashlib.sha256(encoded.data).hexdigest()),
            "seconds_decode": seconds,
        }
        if isinstance(outcome, Failed):
            return self.rows.failed(image, outcome.code, message, **columns)
        self.pictures.put_later(digest, outcome.small)
        return self.rows.skipped(image, outcome, message, **columns)

    def _page(
        self, key: str, encoded: EncodedSource, number: int, model_only: bool = False
    ) -> Decoded | Failed | Skipped:
        config = self.job.config
        thumbnail = thumbnail_side(config) if number == 0 and not model_only else None
        given = (key, encoded.data, encoded.content_type, config)
        return decode_item(self.decoder, *given, number, model_only, thumbnail)

    def _guided(
        self, image: SourceImage, source: LocalSource, L_pages: tuple[F32, ...], spread: float, seconds: float
    ) -> PreparedImage[LocalSource] | LedgerRow:
        """The image with its guides; a guide that cannot be read gives a failed row."""
        try:
            pictures, scribbles, picture_sha256 = self.guides.read(image, pages=len(L_pages))
            if isinstance(source, OpenSource) and network_takes_hints(self.job.config, image):
                size = (source.pixels.width, source.pixels.height)
                pictures, scribbles = pictures | {"scribbles": hints_of(image.guide, scribbles, *size)}, None
        except ImageFailure as failure:
            return self.rows.of_error(image, failure)
        image = replace(image, picture_sha256=picture_sha256)
        return PreparedImage(image, source, L_pages, pictures, scribbles, spread, seconds)

    def _reopen(
        self, one: PredictedImage[TransferableSource] | LedgerRow
    ) -> PredictedImage[LocalSource] | LedgerRow:
        if isinstance(one, LedgerRow):
            return one
        source = one.source
        if isinstance(source, MasterSource):
            return one.reopened(source, one.color_spread, 0.0)
        start = time.perf_counter()
        outcome = self._page(one.image.item.key, source, 0)
        seconds = time.perf_counter() - start
        if not isinstance(outcome, Decoded):
            return self._undecoded(one.image, source, outcome, outcome.message, seconds)
        # of one page measured here, where all pixels are; of several it is the largest of all
        spread = outcome.color_spread if outcome.pages == 1 else one.color_spread
        return one.reopened(OpenSource(source, outcome), spread, seconds)
