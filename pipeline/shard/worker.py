"""One shard, from source keys to a committed ledger part, in plain Python: Ray only decides where it runs.

Reading, decoding, colouring and writing overlap: downloads and uploads run on threads, decoding in a child
process, the network in this one.
"""

from __future__ import annotations

import hashlib
import time
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from pipeline.codecs.everyday import Decoded
from pipeline.codecs.metadata.manifest import open_signer
from pipeline.errors import BadKey, FailureCode
from pipeline.ledger.schema import LedgerRow
from pipeline.ledger.write import commit_part
from pipeline.plan import derivative_key
from pipeline.records import Item, Status
from pipeline.shard.compose import Compose, compose
from pipeline.shard.delivery import finish_master
from pipeline.shard.finish import Finished, finish_image, finish_pages, provenance_of
from pipeline.shard.guide_reader import guide_of
from pipeline.shard.hints import spread_hints
from pipeline.shard.job import Job
from pipeline.shard.prepared import Prepared
from pipeline.shard.put import put_image
from pipeline.shard.result import Begun, ShardResult
from pipeline.shard.sources import Intake
from pipeline.storage import Store, open_store


class Bench(Intake):
    """What one worker process keeps between shards: the source's side, and here what writes results."""

    def __init__(self, job: Job, compose: Compose = compose) -> None:
        super().__init__(job)
        self.compose = compose
        self.out: Store = open_store(job.output, job.config.storage)
        self.signer = open_signer(job.config.output.c2pa)
        self.written: list[int] = []  # bytes of each image of the shard at work; threads append to it

    def finish(self, prepared: Prepared) -> LedgerRow | Future[LedgerRow]:
        """Compose and encode here, write on a thread: the row, or the promise of it."""
        if prepared.row is not None:
            return prepared.row
        if prepared.streamed:
            return self._finish_master(prepared)
        item, decoded, start = prepared.item, prepared.decoded, time.perf_counter()
        assert decoded is not None
        digest = hashlib.sha256(prepared.source).hexdigest()
        try:
            finished = self._finished(prepared, decoded, digest)
        except Exception as error:
            return self.rows.of_error(item, error)
        row = self.rows.colorized(
            item,
            decoded,
            finished,
            prepared.color_spread,
            decoded.pages,
            source_sha256=digest,
            output_sha256=hashlib.sha256(finished.data).hexdigest(),
            **self._of_derivative(item, finished),
            seconds_decode=prepared.seconds_decode,
            seconds_predict=prepared.seconds_predict,
        )
        return self.threads.submit(self._put, row, finished, start)

    def _finished(self, prepared: Prepared, decoded: Decoded, digest: str) -> Finished:
        item, ab = prepared.item, self.chroma(prepared)
        if prepared.further_ab:
            pages, abs_ = self.pages(prepared), [ab, *prepared.further_ab]
            finished = finish_pages(pages, abs_, item, digest, self.job, self.compose)
        else:
            finished = finish_image(decoded, ab, item, digest, self.job, self.compose)
        if kinds := guide_of(item).kinds:
            note = "; ".join(filter(None, [finished.note, f"guided by {', '.join(kinds)}"]))
            finished = replace(finished, note=note)
        if self.signer is None:
            return finished
        said, output = provenance_of(self.job, item, digest), self.job.config.output
        derivative, source = finished.derivative, prepared.source
        if derivative is not None:
            format_, resized = output.derivative.file_format, derivative.resized
            signed = self.signer.sign(derivative.data, source, format_, said, resized=resized)
            derivative = replace(derivative, data=signed)
        data = self.signer.sign(finished.data, source, output.format, said)
        return replace(finished, data=data, derivative=derivative)

    def _of_derivative(self, item: Item, finished: Finished) -> dict[str, object]:
        """The ledger's columns on the second file, where there is one."""
        if finished.derivative is None:
            return {}
        assert item.output_key is not None
        return {
            "derivative_key": derivative_key(item.output_key, self.job.config.output),
            "derivative_sha256": hashlib.sha256(finished.derivative.data).hexdigest(),
        }

    def chroma(self, prepared: Prepared) -> NDArray[np.float32]:
        """The chroma to compose, float32[2,h,w]: as it was predicted, or with the image's hints spread in it.

        Raises:
            ImageFailure: the scribbles cannot be decoded or do not fit.
        """
        guide = guide_of(prepared.item)
        if guide.has_hints:
            assert prepared.decoded is not None
            return spread_hints(prepared.decoded.L_u16, prepared.ab, guide, prepared.scribbles)
        assert prepared.ab is not None
        return prepared.ab

    def _finish_master(self, prepared: Prepared) -> LedgerRow:
        """The second pass over a master, and its upload: here, not on a thread, for it takes all there is."""
        item, start = prepared.item, time.perf_counter()
        assert prepared.ab is not None
        try:
            streamed, columns, written = finish_master(
                self.source, self.out, item, prepared.ab, self.job, self.signer
            )
        except Exception as error:
            return self.rows.of_error(item, error)
        self.written.append(written)
        return self.rows.colorized(
            item,
            streamed,
            streamed,
            prepared.color_spread,
            1,
            **columns,
            seconds_decode=prepared.seconds_decode,
            seconds_predict=prepared.seconds_predict,
            seconds_compose=time.perf_counter() - start,
        )

    def _put(self, row: LedgerRow, finished: Finished, start: float) -> LedgerRow:
        assert row.output_key is not None
        output = self.job.config.output
        try:
            put_image(self.out, row.output_key, finished.data, output.format)
            if finished.derivative is not None:
                assert row.derivative_key is not None
                data, format_ = finished.derivative.data, output.derivative.file_format
                put_image(self.out, row.derivative_key, data, format_)
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
        self.written.append(len(finished.data))
        row.seconds_compose = time.perf_counter() - start
        row.finished_at = datetime.now(UTC)
        return row

    def commit(self, shard_id: str, rows: list[LedgerRow | Future[LedgerRow]], begun: Begun) -> ShardResult:
        """Wait for the last images, then write the ledger part; the part is the commit."""
        done = [row.result() if isinstance(row, Future) else row for row in rows]
        won = commit_part(self.out, self.job.job_digest, shard_id, done)
        written, self.written = sum(self.written), []
        return ShardResult.of(shard_id, done, won, begun, written)
