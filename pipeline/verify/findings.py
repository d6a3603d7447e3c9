"""What a verification can find, and the one schema of its report."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, NamedTuple

import pyarrow as pa

#: Exit status of a verification that finished and found something.
EXIT_FINDINGS = 3


class Finding(StrEnum):
    """What is wrong with an object; docs/verify.md says what to do about each."""

    MISSING = "missing"
    CHANGED = "changed"
    UNEXPECTED = "unexpected"
    UNREADABLE = "unreadable"
    NO_CHECKSUM = "no_checksum"
    LEDGER_UNREADABLE = "ledger_unreadable"
    SOURCE_MISSING = "source_missing"
    SOURCE_CHANGED = "source_changed"
    SOURCE_UNREADABLE = "source_unreadable"


class Found(NamedTuple):
    """One row of the report. Keys of outputs and ledger parts are below OUT, of sources below the input.

    `expected` and `found` are SHA-256 in hex, None where there is none.
    """

    key: str
    finding: Finding
    message: str
    expected: str | None = None
    found: str | None = None


FINDINGS_SCHEMA = pa.schema(
    [
        pa.field("key", pa.large_string(), nullable=False),
        pa.field("finding", pa.string(), nullable=False),
        pa.field("expected", pa.string()),
        pa.field("found", pa.string()),
        pa.field("message", pa.string(), nullable=False),
    ]
)


#: Rows turned into Python objects at a time.
_BATCH = 10_000


def findings_table(rows: Iterable[Found]) -> pa.Table:
    """The findings as one table of FINDINGS_SCHEMA, in the order given."""
    listed = [{**row._asdict(), "finding": str(row.finding)} for row in rows]
    return pa.Table.from_pylist(listed, schema=FINDINGS_SCHEMA)


def findings_of(table: pa.Table, found: Callable[[dict[str, Any]], Found]) -> pa.Table:
    """One finding for each row, in portions, for there may be millions."""
    batches = table.to_batches(max_chunksize=_BATCH)
    tables = [findings_table(found(row) for row in batch.to_pylist()) for batch in batches]
    return pa.concat_tables([findings_table(()), *tables])
