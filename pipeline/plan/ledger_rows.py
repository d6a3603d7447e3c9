"""The part of the ledger that a plan needs, read once: Arrow tables with 25 bytes per row and no strings."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import STORAGE_FAILED
from pipeline.ledger.keys import job_digest_of
from pipeline.ledger.read import list_parts, map_parts, read_part
from pipeline.plan.identities import hash_keys
from pipeline.records import Status
from pipeline.storage import Store

STATUSES = [str(status) for status in Status]
"""The code of a status is its index in this list."""
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
_COLUMNS = ("key", "etag", "status", "attempts", "finished_at", "guide_digest", "failure_code", "input")
_STORAGE_FAILED = pa.array([str(code) for code in STORAGE_FAILED])


class InputParts(NamedTuple):
    """Keys of all ledger parts, in order, and keys of those with rows of another input than the present one.

    Rows written before the ledger had the column `input` belong to no input.
    """

    keys: list[str]
    elsewhere: list[str]


@dataclass(frozen=True)
class LedgerRows:
    """All rows by job digest (ROWS_SCHEMA, in the order of their parts), and the inputs of all parts."""

    tables: dict[str, pa.Table]
    inputs: InputParts

    def parts(self, job_digest: str) -> list[str]:
        """The keys of the parts of one job digest, in order."""
        return [key for key in self.inputs.keys if job_digest_of(key) == job_digest]

    @property
    def latest(self) -> int:
        """The latest `finished_at` of all rows, microseconds since 1970; 0 where there is none."""
        return max((pc.max(rows["finished_at"]).as_py() or 0 for rows in self.tables.values()), default=0)

    def of(self, job_digest: str) -> pa.Table:
        """ROWS_SCHEMA: the rows of one job digest."""
        return self.tables.get(job_digest, ROWS_SCHEMA.empty_table())


def read_ledger(out: Store, input_uri: str) -> LedgerRows:
    """All rows below OUT.

    Args:
        input_uri: the present input (`Store.uri`).

    Raises:
        DamagedLedgerPart: a part is damaged. StorageError: the ledger cannot be listed, or a part not read.
    """
    inputs, tables = InputParts(list(list_parts(out)), []), defaultdict[str, list[pa.Table]](list)
    read = map_parts(partial(_read_part, out, input_uri), inputs.keys)
    for key, (rows, has_others) in zip(inputs.keys, read, strict=True):
        tables[job_digest_of(key)].append(rows)
        if has_others:
            inputs.elsewhere.append(key)
    joined = {digest: pa.concat_tables(tables.pop(digest)).combine_chunks() for digest in list(tables)}
    return LedgerRows(joined, inputs)


def _read_part(out: Store, input_uri: str, key: str) -> tuple[pa.Table, bool]:
    table = read_part(out, key, _COLUMNS)
    columns = [
        pa.array(hash_keys(table["key"].to_pylist(), table["etag"].to_pylist())),
        pc.index_in(table["status"], value_set=pa.array(STATUSES)).cast(pa.int8()),
        table["attempts"],
        table["finished_at"].cast(pa.int64()),
        table["guide_digest"],
        pc.is_in(table["failure_code"], value_set=_STORAGE_FAILED),
    ]
    has_others = pc.any(is_elsewhere(table["input"], input_uri), min_count=0).as_py()
    return pa.table(columns, schema=ROWS_SCHEMA), bool(has_others)


def is_elsewhere(inputs: pa.ChunkedArray, input_uri: str) -> pa.ChunkedArray:
    """Whether each value of the column `input` is another place; false for null."""
    return pc.fill_null(pc.not_equal(inputs, input_uri), False)
