"""What a worker reports of a committed shard: the ledger columns that the summary counts, nothing larger."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from pipeline.records import LedgerRow, ledger_table
from pipeline.stages.report.tally import COLUMNS


@dataclass(frozen=True)
class ShardResult:
    """`won` is False where another attempt had committed the shard before; `rows` holds tally.COLUMNS.

    `began` is the worker's clock (seconds since the epoch) when it took the shard.
    """

    shard_id: str
    won: bool
    began: float
    rows: pa.Table

    @classmethod
    def of(cls, shard_id: str, rows: list[LedgerRow], won: bool, began: float) -> ShardResult:
        """The result of one committed shard."""
        return cls(shard_id, won, began, ledger_table(rows).select(list(COLUMNS)))
