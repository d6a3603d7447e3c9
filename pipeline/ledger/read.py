"""Reading ledger parts."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import StorageError
from pipeline.ledger.schema import LEDGER_SCHEMA
from pipeline.storage import Store


def read_columns(out: Store, key: str, names: Sequence[str]) -> pa.Table:
    """Columns of a ledger part; one from before a column existed has nulls in it.

    Raises:
        StorageError: the part cannot be read.
    """
    data = out.get(key).data
    try:
        schema = pa.schema([LEDGER_SCHEMA.field(name) for name in names])
        return pq.read_table(io.BytesIO(data), columns=list(names), schema=schema)
    except (pa.ArrowException, ValueError, KeyError) as error:
        raise unreadable(out, key, error) from None


def unreadable(out: Store, key: str, error: Exception) -> StorageError:
    """The error of a ledger part that is damaged."""
    reason = " ".join(str(error).split())
    return StorageError(
        f"the ledger part {key} in {out.uri} cannot be read ({reason}); remove it to do its images again"
    )
