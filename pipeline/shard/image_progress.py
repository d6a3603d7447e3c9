"""Report progress within a shard, because a shard of 512 images would otherwise be silent for minutes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future

from pipeline.ledger.schema import LedgerRow
from pipeline.records import Status
from pipeline.shard.attempts import Attempts

_SECONDS = 1.0  # between two reports


class ImageProgress:
    """Counts a shard's images, and reports them once a second."""

    def __init__(self, attempts: Attempts, shard_id: str) -> None:
        self._attempts, self._shard_id = attempts, shard_id
        self._reported = 0.0

    def __call__(self, rows: Sequence[LedgerRow | Future[LedgerRow]]) -> None:
        """`rows`: the rows of all images so far. A pending future is an image that is still being written."""
        now = time.monotonic()
        if now - self._reported < _SECONDS:
            return
        self._reported = now
        done = [row.result() if isinstance(row, Future) else row for row in rows if _is_done(row)]
        failed = sum(row.status == Status.FAILED for row in done)
        self._attempts.progress(self._shard_id, len(done), failed)


def _is_done(row: LedgerRow | Future[LedgerRow]) -> bool:
    return not isinstance(row, Future) or (row.done() and row.exception() is None)
