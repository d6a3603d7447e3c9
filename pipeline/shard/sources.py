"""The source side of a worker: objects fetched on threads, decoded in a child, ahead of the network."""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from pipeline.codecs.everyday import Decoded
from pipeline.errors import FailureCode, ImageFailure
from pipeline.ledger.schema import LedgerRow
from pipeline.records import Item
from pipeline.shard.decode import Failed, Skipped, decode_item, open_decoder
from pipeline.shard.delivery import SourceUnreadable, goes_through_files, prepare_master
from pipeline.shard.guide_reader import GuideReader
from pipeline.shard.job import Job
from pipeline.shard.prepared import Prepared
from pipeline.shard.rows import UNREADABLE, Rows
from pipeline.storage import Fetched, Store, open_store

# Decoded images waiting for the network: one is enough to keep it busy, and each may be hundreds of MB.
_DECODED_AHEAD = 2


class Intake:
    """What a worker process keeps between shards to read and decode: source, threads, child process."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.rows = Rows(job)
        self.source: Store = open_store(job.input, job.config.storage)
        self.threads = ThreadPoolExecutor(job.config.run.threads, "transfer")
        self.decode_thread = ThreadPoolExecutor(1, "decode")
        self.decoder = open_decoder(job.config)
        self.guides = GuideReader(job, self.rows, self.decoder)

    def close(self) -> None:
        """Stop the threads and the decoder's child process."""
        self.threads.shutdown(wait=False, cancel_futures=True)
        self.decode_thread.shutdown(wait=False, cancel_futures=True)
        self.decoder.close()

    def fetch(self, item: Item) -> Fetched | LedgerRow:
        """The source bytes, or the row that says why they cannot be had."""
        if item.failure_code is not None:
            return self.rows.failed(item, item.failure_code, item.message or item.failure_code)
        if (refused := self.guides.refused(item)) is not None:
            return refused
        if goes_through_files(item, self.job.config):
            return Fetched(b"", item.etag, None)
        return self._get(item)

    def _get(self, item: Item) -> Fetched | LedgerRow:
        if item.bytes > self.job.config.limits.memory // 2:
            return self.rows.failed(
                item,
                FailureCode.TOO_LARGE,
                f"the source has {item.bytes:,} bytes, more than half of limits.memory",
            )
        try:
            return self.source.get(item.key, if_etag=item.etag)
        except UNREADABLE as error:
            return self.rows.unreadable(item, error)

    def decode(self, item: Item, fetched: Fetched | LedgerRow, glimpse: bool = False) -> Prepared:
        """Fetched bytes as luminance and model inputs; a failed or skipped image as its row.

        glimpse: only the model inputs are wanted here; `redecoded` gives the pixels where they are composed.
        """
        prepared = self._decode(item, fetched, glimpse)
        return prepared if prepared.row is not None else self.guides.add(prepared)

    def _decode(self, item: Item, fetched: Fetched | LedgerRow, glimpse: bool = False) -> Prepared:
        if isinstance(fetched, LedgerRow):
            return Prepared(item, row=fetched)
        if goes_through_files(item, self.job.config):
            return self._prepare_master(item)
        return self._decode_bytes(item, fetched, glimpse)

    def _prepare_master(self, item: Item) -> Prepared:
        """The first pass over a master; where it cannot be read in strips, in memory if that can hold it."""
        start = time.perf_counter()
        try:
            outcome, sha256 = prepare_master(self.source, item, self.job.config)
        except ImageFailure as failure:
            if failure.code != FailureCode.UNSUPPORTED or item.bytes > self.job.config.limits.memory // 2:
                return Prepared(item, row=self.rows.of_error(item, failure))
            fetched = self._get(item)
            if isinstance(fetched, LedgerRow):
                return Prepared(item, row=fetched)
            return self._decode_bytes(item, fetched)
        except SourceUnreadable as error:
            return Prepared(item, row=self.rows.of_error(item, error))
        seconds = time.perf_counter() - start
        if isinstance(outcome, Skipped):
            row = self.rows.skipped(item, outcome, source_sha256=sha256, seconds_decode=seconds)
            return Prepared(item, row=row)
        return Prepared(
            item,
            model_L=outcome.model_L,
            color_spread=outcome.color_spread,
            streamed=True,
            seconds_decode=seconds,
        )

    def _decode_bytes(self, item: Item, fetched: Fetched, glimpse: bool = False) -> Prepared:
        start = time.perf_counter()
        given = (self.decoder, item.key, fetched.data, fetched.content_type, self.job.config)
        outcome = decode_item(*given, glimpse=glimpse)
        if glimpse and isinstance(outcome, Skipped):  # size and colour are judged by the whole picture
            outcome = decode_item(*given)
        seconds = time.perf_counter() - start
        common: dict[str, object] = {
            "source_sha256": hashlib.sha256(fetched.data).hexdigest(),
            "seconds_decode": seconds,
        }
        if isinstance(outcome, Failed):
            return Prepared(item, row=self.rows.failed(item, outcome.code, outcome.message, **common))
        if isinstance(outcome, Skipped):
            return Prepared(item, row=self.rows.skipped(item, outcome, None, **common))
        prepared = Prepared(
            item,
            source=fetched.data,
            content_type=fetched.content_type,
            model_L=outcome.model_L,
            decoded=outcome,
            color_spread=outcome.color_spread,
            seconds_decode=seconds,
        )
        return prepared if outcome.pages == 1 else self._with_pages(prepared, outcome.pages, common)

    def _with_pages(self, prepared: Prepared, pages: int, common: dict[str, object]) -> Prepared:
        """What the network sees of the further pages; their pixels are decoded again when they are composed.

        A page that cannot be coloured, or needs not be, decides for the file: half a document is none.
        """
        item, format_ = prepared.item, self.job.config.output.format
        if format_ != "tiff":
            message = f"it has {pages} pages, which {format_} cannot hold; set output.format=tiff"
            return Prepared(item, row=self.rows.failed(item, FailureCode.ENCODE_FAILED, message, **common))
        for number in range(1, pages):
            start = time.perf_counter()
            outcome = self._page(prepared, number)
            prepared.seconds_decode += time.perf_counter() - start
            if isinstance(outcome, Failed):
                message = f"page {number + 1} of {pages}: {outcome.message}"
                return Prepared(item, row=self.rows.failed(item, outcome.code, message, **common))
            if isinstance(outcome, Skipped):
                message = f"page {number + 1} of {pages} {outcome.message}"
                return Prepared(item, row=self.rows.skipped(item, outcome, message, **common))
            prepared.color_spread = max(prepared.color_spread, outcome.color_spread)
            prepared.further_L.append(outcome.model_L)
        return prepared

    def _page(self, prepared: Prepared, number: int) -> Decoded | Failed | Skipped:
        source, type_ = prepared.source, prepared.content_type
        return decode_item(self.decoder, prepared.item.key, source, type_, self.job.config, number)

    def pages(self, prepared: Prepared) -> Iterator[Decoded]:
        """All pages with their pixels, one at a time. Raises ImageFailure where one no longer decodes."""
        assert prepared.decoded is not None
        yield prepared.decoded
        prepared.decoded = None
        for number in range(1, len(prepared.further_ab) + 1):
            # on the thread that decodes ahead: the decoder is for one at a time
            outcome = self.decode_thread.submit(self._page, prepared, number).result()
            if not isinstance(outcome, Decoded):
                code = outcome.code if isinstance(outcome, Failed) else FailureCode.INTERNAL_ERROR
                raise ImageFailure(code, f"page {number + 1}: {outcome.message}")
            yield outcome

    def prepared(self, items: list[Item], glimpse: bool = False) -> Iterator[Prepared]:
        """Fetch and decode (see `decode`) ahead of the consumer, in the order of the items."""
        todo = iter(items)
        fetching: deque[tuple[Item, Future[Fetched | LedgerRow]]] = deque()
        decoding: deque[Future[Prepared]] = deque()
        while True:
            while len(fetching) < self.job.config.run.threads and (item := next(todo, None)) is not None:
                fetching.append((item, self.threads.submit(self.fetch, item)))
            while len(decoding) < _DECODED_AHEAD and fetching:
                item, future = fetching.popleft()
                decoding.append(self.decode_thread.submit(self._decode_fetched, item, future, glimpse))
            if not decoding:
                return
            yield decoding.popleft().result()

    def redecoded(self, travelled: list[Prepared]) -> Iterator[Prepared]:
        """Prepared items that have come from another process, with their pixels again, one ahead."""
        decoding: deque[Future[Prepared]] = deque()
        todo = iter(travelled)
        while True:
            while len(decoding) < _DECODED_AHEAD and (one := next(todo, None)) is not None:
                decoding.append(self.decode_thread.submit(self._restore, one))
            if not decoding:
                return
            yield decoding.popleft().result()

    def _restore(self, one: Prepared) -> Prepared:
        if one.row is not None or one.streamed:
            return one
        again = self._decode(one.item, Fetched(one.source, one.item.etag, one.content_type))
        again.scribbles = one.scribbles
        again.ab, again.further_ab, again.seconds_predict = one.ab, one.further_ab, one.seconds_predict
        again.seconds_decode += one.seconds_decode
        return again

    def _decode_fetched(self, item: Item, future: Future[Fetched | LedgerRow], glimpse: bool) -> Prepared:
        return self.decode(item, future.result(), glimpse)
