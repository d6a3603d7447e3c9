"""The rows of ledger parts as far as a plan needs them: an Arrow table of 25 bytes a row and no strings."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import STORAGE_FAILED
from pipeline.ledger.read import map_parts, read_part
from pipeline.plan.identities import hash_keys
from pipeline.records import Status
from pipeline.storage import Store

STATUSES = [str(status) for status in Status]
"""A status's code is its place in here."""
#: `finished_at` counts microseconds since 1970; few rows have a guide. `storage_failed`: the failure
#: code is one of STORAGE_FAILED.
ROWS_SCHEMA = pa.schema(
    [
        ("identity", pa.int64()),
        ("status", pa.int8()),
        ("attempts", pa.int32()),
        ("finished_at", pa.int64()),
        ("guide_digest", pa.string()),
        ("storage_failed", pa.bool_()),
    ]
)
_COLUMNS = ("key", "etag", "status", "attempts", "finished_at", "guide_digest", "failure_code")
_STORAGE_FAILED = pa.array([str(code) for code in STORAGE_FAILED])


def read_rows(out: Store, parts: Iterable[str]) -> pa.Table:
    """ROWS_SCHEMA, all rows of these ledger parts, in their order. Raises as `read_part`."""
    tables = map_parts(partial(_read_part, out), parts)
    return pa.concat_tables([ROWS_SCHEMA.empty_table(), *tables]).combine_chunks()


def _read_part(out: Store, key: str) -> pa.Table:
    table = read_part(out, key, _COLUMNS)
    columns = [
        pa.array(hash_keys(table["key"].to_pylist(), table["etag"].to_pylist())),
        pc.index_in(table["status"], value_set=pa.array(STATUSES)).cast(pa.int8()),
        table["attempts"],
        table["finished_at"].cast(pa.int64()),
        table["guide_digest"],
        pc.is_in(table["failure_code"], value_set=_STORAGE_FAILED),
    ]
    return pa.table(columns, schema=ROWS_SCHEMA)
