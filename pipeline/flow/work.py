"""One shard, from source keys to a committed ledger part, in plain Python: Ray only decides where it runs.

Reading, decoding, colouring and writing overlap: downloads and uploads run on threads, decoding in a child
process, the network in this one.
"""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.codecs.everyday import Decoded
from pipeline.codecs.manifest import open_signer
from pipeline.errors import (
    AccessDenied,
    BadKey,
    FailureCode,
    FiatColorError,
    ImageFailure,
    ObjectChanged,
    ObjectMissing,
)
from pipeline.flow.files import SourceUnreadable, finish_master, goes_through_files, prepare_master
from pipeline.flow.finish import Finished, finish_image, finish_pages, provenance_of
from pipeline.flow.job import Job
from pipeline.flow.result import ShardResult
from pipeline.records import Item, LedgerRow, Status
from pipeline.stages.commit import commit_part, put_image
from pipeline.stages.decode import Failed, Skipped, decode_item, open_decoder
from pipeline.storage import Fetched, Store, open_store

# Decoded images waiting for the network: one is enough to keep it busy, and each may be hundreds of MB.
_DECODED_AHEAD = 2
_UNREADABLE = (ObjectMissing, ObjectChanged, AccessDenied)  # of a source; each is a row of its own


class Attempts(Protocol):
    """Remembers across crashes of workers how often a shard was begun and which images went down with one."""

    def begin(self, shard_id: str) -> int:
        """Count one more attempt; the number including this one."""

    def touch(self, shard_id: str, key: str) -> None:
        """This image is worked on alone now: if the worker dies, it is the culprit."""

    def lost(self, shard_id: str) -> set[str]:
        """Keys during whose lone work a worker died."""

    def finish(self, shard_id: str, key: str) -> None:
        """This image did no harm."""


@dataclass
class Prepared:
    """One item after fetch and decode: `row` when its fate is sealed, else what the next stages need.

    `decoded` holds full-resolution pixels and never travels between processes; `source` and `model_L` do.
    """

    item: Item
    row: LedgerRow | None = None
    source: bytes = b""
    content_type: str | None = None
    model_L: NDArray[np.float32] | None = None
    ab: NDArray[np.float32] | None = None
    decoded: Decoded | None = None
    further_L: list[NDArray[np.float32]] = field(default_factory=list)  # of the pages after the first
    further_ab: list[NDArray[np.float32]] = field(default_factory=list)
    color_spread: float = 0.0
    streamed: bool = False  # a master that goes through files: neither `source` nor `decoded` is ever set
    seconds_decode: float = 0.0
    seconds_predict: float = 0.0


class Bench:
    """What one worker process keeps between shards: stores, threads, and the decoder's child process."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.source: Store = open_store(job.input, job.config.storage)
        self.out: Store = open_store(job.output, job.config.storage)
        self.threads = ThreadPoolExecutor(job.config.run.threads, "transfer")
        self.decode_thread = ThreadPoolExecutor(1, "decode")
        self.decoder = open_decoder(job.config)
        self.signer = open_signer(job.config.output.c2pa)

    def close(self) -> None:
        """Stop the threads and the decoder's child process."""
        self.threads.shutdown(wait=False, cancel_futures=True)
        self.decode_thread.shutdown(wait=False, cancel_futures=True)
        self.decoder.close()

    def row(self, item: Item, status: Status, **columns: object) -> LedgerRow:
        """A ledger row of this run for the item."""
        return LedgerRow(
            key=item.key,
            etag=item.etag,
            bytes=item.bytes,
            status=status,
            attempts=item.attempts + 1,
            method=self.job.config.model.method,
            weights_digest=self.job.weights_digest,
            job_digest=self.job.job_digest,
            run_id=self.job.run_id,
            finished_at=datetime.now(UTC),
            **columns,  # type: ignore[arg-type]
        )

    def failed(self, item: Item, code: str, message: str, **columns: object) -> LedgerRow:
        """The ledger row of an image that has no result."""
        return self.row(item, Status.FAILED, failure_code=str(code), message=message, **columns)

    def _defect(self, item: Item, error: Exception) -> LedgerRow:
        """A defect of ours, found by one image, must not cost the others."""
        said = " ".join(f"{type(error).__name__}: {error}".split())
        return self.failed(item, FailureCode.INTERNAL_ERROR, said[:500])

    def fetch(self, item: Item) -> Fetched | LedgerRow:
        """The source bytes, or the row that says why they cannot be had."""
        if item.failure_code is not None:
            return self.failed(item, item.failure_code, item.message or item.failure_code)
        if goes_through_files(item, self.job.config):
            return Fetched(b"", item.etag, None)
        return self._get(item)

    def _get(self, item: Item) -> Fetched | LedgerRow:
        if item.bytes > self.job.config.limits.memory // 2:
            return self.failed(
                item,
                FailureCode.TOO_LARGE,
                f"the source has {item.bytes:,} bytes, more than half of limits.memory",
            )
        try:
            return self.source.get(item.key, if_etag=item.etag)
        except _UNREADABLE as error:
            return self._unreadable(item, error)

    def _unreadable(self, item: Item, error: Exception) -> LedgerRow:
        if isinstance(error, ObjectMissing):
            return self.failed(item, FailureCode.SOURCE_MISSING, "gone since the plan was made")
        if isinstance(error, ObjectChanged):
            return self.failed(item, FailureCode.SOURCE_CHANGED, "changed since the plan was made; run again")
        return self.failed(item, FailureCode.SOURCE_DENIED, str(error))

    def decode(self, item: Item, fetched: Fetched | LedgerRow) -> Prepared:
        """Fetched bytes as luminance and model input; a failed or skipped image as its row."""
        if isinstance(fetched, LedgerRow):
            return Prepared(item, row=fetched)
        if goes_through_files(item, self.job.config):
            return self._prepare_master(item)
        return self._decode_bytes(item, fetched)

    def _prepare_master(self, item: Item) -> Prepared:
        """The first pass over a master; where it cannot be read in strips, in memory if that can hold it."""
        start = time.perf_counter()
        try:
            outcome, sha256 = prepare_master(self.source, item, self.job.config)
        except ImageFailure as failure:
            if failure.code == FailureCode.UNSUPPORTED and item.bytes <= self.job.config.limits.memory // 2:
                fetched = self._get(item)
                return (
                    Prepared(item, row=fetched)
                    if isinstance(fetched, LedgerRow)
                    else self._decode_bytes(item, fetched)
                )
            return Prepared(item, row=self.failed(item, failure.code, failure.message))
        except SourceUnreadable as error:
            return Prepared(item, row=self._unreadable(item, error.reason))
        seconds = time.perf_counter() - start
        if isinstance(outcome, Skipped):
            row = self.row(
                item,
                outcome.status,
                message=outcome.message,
                width=outcome.width,
                height=outcome.height,
                mode=outcome.mode,
                source_sha256=sha256,
                **self._color(outcome.color_spread, outcome.pages),
                seconds_decode=seconds,
            )
            return Prepared(item, row=row)
        return Prepared(
            item,
            model_L=outcome.model_L,
            color_spread=outcome.color_spread,
            streamed=True,
            seconds_decode=seconds,
        )

    def _decode_bytes(self, item: Item, fetched: Fetched) -> Prepared:
        start = time.perf_counter()
        outcome = decode_item(self.decoder, item.key, fetched.data, fetched.content_type, self.job.config)
        seconds = time.perf_counter() - start
        common: dict[str, object] = {
            "source_sha256": hashlib.sha256(fetched.data).hexdigest(),
            "seconds_decode": seconds,
        }
        if isinstance(outcome, Failed):
            return Prepared(item, row=self.failed(item, outcome.code, outcome.message, **common))
        if isinstance(outcome, Skipped):
            common |= {"width": outcome.width, "height": outcome.height, "mode": outcome.mode}
            common |= self._color(outcome.color_spread, outcome.pages)
            return Prepared(item, row=self.row(item, outcome.status, message=outcome.message, **common))
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

    def _color(self, spread: float | None, pages: int | None) -> dict[str, object]:
        """The columns on pages and on what was measured to tell real colour from toning, where it was."""
        threshold = None if spread is None else self.job.config.model.color_threshold
        return {"pages": pages, "color_spread": spread, "color_threshold": threshold}

    def _with_pages(self, prepared: Prepared, pages: int, common: dict[str, object]) -> Prepared:
        """What the network sees of the further pages; their pixels are decoded again when they are composed.

        A page that cannot be coloured, or needs not be, decides for the file: half a document is none.
        """
        item, format_ = prepared.item, self.job.config.output.format
        if format_ != "tiff":
            message = f"it has {pages} pages, which {format_} cannot hold; set output.format=tiff"
            return Prepared(item, row=self.failed(item, FailureCode.ENCODE_FAILED, message, **common))
        for number in range(1, pages):
            start = time.perf_counter()
            outcome = self._page(prepared, number)
            prepared.seconds_decode += time.perf_counter() - start
            if isinstance(outcome, Failed):
                message = f"page {number + 1} of {pages}: {outcome.message}"
                return Prepared(item, row=self.failed(item, outcome.code, message, **common))
            if isinstance(outcome, Skipped):
                message = f"page {number + 1} of {pages} {outcome.message}"
                common |= self._color(outcome.color_spread, outcome.pages)
                return Prepared(item, row=self.row(item, outcome.status, message=message, **common))
            prepared.color_spread = max(prepared.color_spread, outcome.color_spread)
            prepared.further_L.append(outcome.model_L)
        return prepared

    def _page(self, prepared: Prepared, number: int) -> Decoded | Failed | Skipped:
        source, type_ = prepared.source, prepared.content_type
        return decode_item(self.decoder, prepared.item.key, source, type_, self.job.config, number)

    def _pages(self, prepared: Prepared) -> Iterator[Decoded]:
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

    def prepared(self, items: list[Item]) -> Iterator[Prepared]:
        """Fetch and decode ahead of the consumer, in the order of the items."""
        todo = iter(items)
        fetching: deque[tuple[Item, Future[Fetched | LedgerRow]]] = deque()
        decoding: deque[Future[Prepared]] = deque()
        while True:
            while len(fetching) < self.job.config.run.threads and (item := next(todo, None)) is not None:
                fetching.append((item, self.threads.submit(self.fetch, item)))
            while len(decoding) < _DECODED_AHEAD and fetching:
                item, future = fetching.popleft()
                decoding.append(self.decode_thread.submit(self._decode_fetched, item, future))
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
        again = self.decode(one.item, Fetched(one.source, one.item.etag, one.content_type))
        again.ab, again.further_ab, again.seconds_predict = one.ab, one.further_ab, one.seconds_predict
        again.seconds_decode += one.seconds_decode
        return again

    def _decode_fetched(self, item: Item, future: Future[Fetched | LedgerRow]) -> Prepared:
        return self.decode(item, future.result())

    def finish(self, prepared: Prepared) -> LedgerRow | Future[LedgerRow]:
        """Compose and encode here, write on a thread: the row, or the promise of it."""
        if prepared.row is not None:
            return prepared.row
        if prepared.streamed:
            return self._finish_master(prepared)
        item, decoded, ab = prepared.item, prepared.decoded, prepared.ab
        assert decoded is not None
        assert ab is not None
        start = time.perf_counter()
        try:
            digest = hashlib.sha256(prepared.source).hexdigest()
            if prepared.further_ab:
                pages, abs_ = self._pages(prepared), [ab, *prepared.further_ab]
                finished = finish_pages(pages, abs_, item.key, digest, self.job)
            else:
                finished = finish_image(decoded, ab, item.key, digest, self.job)
            if self.signer is not None:
                said = provenance_of(self.job, item.key, digest)
                signed = self.signer.sign(finished.data, prepared.source, self.job.config.output.format, said)
                finished = replace(finished, data=signed)
        except ImageFailure as failure:
            return self.failed(item, failure.code, failure.message)
        except MemoryError:
            return self.failed(
                item, FailureCode.OUT_OF_MEMORY, "no memory to compose the image; lower limits.pixels"
            )
        except FiatColorError:
            raise
        except Exception as error:
            return self._defect(item, error)
        row = self.row(
            item,
            Status.COLORIZED,
            message=finished.note,
            output_key=item.output_key,
            width=decoded.width,
            height=decoded.height,
            **self._color(prepared.color_spread, decoded.pages),
            mode=decoded.mode,
            source_sha256=digest,
            output_sha256=hashlib.sha256(finished.data).hexdigest(),
            max_delta_l=finished.max_delta_l,
            mean_chroma=finished.mean_chroma,
            colorfulness=finished.colorfulness,
            metadata_changes=list(finished.metadata_changes),
            seconds_decode=prepared.seconds_decode,
            seconds_predict=prepared.seconds_predict,
        )
        return self.threads.submit(self._put, row, finished, start)

    def _finish_master(self, prepared: Prepared) -> LedgerRow:
        """The second pass over a master, and its upload: here, not on a thread, for it takes all there is."""
        item, start = prepared.item, time.perf_counter()
        assert prepared.ab is not None
        try:
            streamed, source_sha256, output_sha256 = finish_master(
                self.source, self.out, item, prepared.ab, self.job, self.signer
            )
        except ImageFailure as failure:
            return self.failed(item, failure.code, failure.message)
        except BadKey as error:
            return self.failed(item, FailureCode.BAD_KEY, str(error))
        except SourceUnreadable as error:
            return self._unreadable(item, error.reason)
        except FiatColorError:
            raise
        except Exception as error:
            return self._defect(item, error)
        return self.row(
            item,
            Status.COLORIZED,
            message=streamed.note,
            output_key=item.output_key,
            width=streamed.width,
            height=streamed.height,
            **self._color(prepared.color_spread, 1),
            mode=streamed.mode,
            source_sha256=source_sha256,
            output_sha256=output_sha256,
            max_delta_l=streamed.measures.max_delta_l,
            mean_chroma=streamed.measures.mean_chroma,
            colorfulness=streamed.measures.colorfulness,
            metadata_changes=list(streamed.metadata_changes),
            seconds_decode=prepared.seconds_decode,
            seconds_predict=prepared.seconds_predict,
            seconds_compose=time.perf_counter() - start,
        )

    def _put(self, row: LedgerRow, finished: Finished, start: float) -> LedgerRow:
        assert row.output_key is not None
        try:
            put_image(self.out, row.output_key, finished.data, self.job.config.output.format)
        except BadKey as error:
            return replace(
                row,
                status=Status.FAILED,
                failure_code=FailureCode.BAD_KEY,
                message=str(error),
                output_key=None,
                output_sha256=None,
            )
        row.seconds_compose = time.perf_counter() - start
        row.finished_at = datetime.now(UTC)
        return row

    def commit(self, shard_id: str, rows: list[LedgerRow | Future[LedgerRow]], began: float) -> ShardResult:
        """Wait for the last images, then write the ledger part; the part is the commit."""
        done = [row.result() if isinstance(row, Future) else row for row in rows]
        won = commit_part(self.out, self.job.job_digest, shard_id, done)
        return ShardResult.of(shard_id, done, won, began)
