"""What a worker reports of a committed shard: the ledger columns that the summary counts, nothing larger."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pyarrow as pa

from pipeline.ledger.schema import LedgerRow, ledger_table
from pipeline.report.tally import COLUMNS
from pipeline.shard.attempts import Attempt


@dataclass(frozen=True)
class ShardResult:
    """`won` is False if another attempt had already committed the shard; `rows` holds tally.COLUMNS.

    `attempt` is the one that committed it, `ended` the worker's clock at the commit (seconds since the
    epoch), `written` the bytes of the images that it put.
    """

    shard_id: str
    won: bool
    attempt: Attempt
    ended: float
    written: int
    rows: pa.Table

    @classmethod
    def of(
        cls, shard_id: str, rows: list[LedgerRow], won: bool, attempt: Attempt, written: int
    ) -> ShardResult:
        """The result of one shard that is committed now."""
        table = ledger_table(rows).select(list(COLUMNS))
        return cls(shard_id, won, attempt, time.time(), written, table)
