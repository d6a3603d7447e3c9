"""The findings of a verification, and the schema of its report."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, NamedTuple

import pyarrow as pa


class FindingCode(StrEnum):
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
    UNFIT_NAME = "unfit_name"


class Finding(NamedTuple):
    """One row of the report. Keys of outputs and ledger parts are below OUT, of sources below the input.

    `expected` and `found` are SHA-256 in hex, None where there is none.
    """

    key: str
    code: FindingCode
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
_NOT_THERE = "the ledger names it, but it does not exist"
_NO_CHECKSUM = "its ledger row has no SHA-256 to compare with"


def findings_table(findings: Iterable[Finding]) -> pa.Table:
    """The findings as one table of FINDINGS_SCHEMA, in the order given."""
    rows = [
        {"key": key, "finding": str(code), "message": message, "expected": expected, "found": found}
        for key, code, message, expected, found in findings
    ]
    return pa.Table.from_pylist(rows, schema=FINDINGS_SCHEMA)


def finding_for_each(table: pa.Table, finding: Callable[[dict[str, Any]], Finding]) -> pa.Table:
    """FINDINGS_SCHEMA: one finding per row, made in portions because there may be millions."""
    batches = table.to_batches(max_chunksize=_BATCH)
    tables = [findings_table(finding(row) for row in batch.to_pylist()) for batch in batches]
    return pa.concat_tables([findings_table(()), *tables])


def missing_findings(missing: pa.Table, code: FindingCode) -> pa.Table:
    """Findings for ledger rows (`key`; `sha256` as bytes, hex or null) whose file does not exist."""
    return finding_for_each(missing, lambda row: Finding(row["key"], code, _NOT_THERE, _hex(row["sha256"])))


def no_checksum_findings(unproven: pa.Table) -> pa.Table:
    """Findings for objects (`key`) whose ledger row has no checksum."""
    return finding_for_each(unproven, lambda row: Finding(row["key"], FindingCode.NO_CHECKSUM, _NO_CHECKSUM))


def unexpected_findings(unexpected: pa.Table, unreadable_parts: int) -> pa.Table:
    """Findings for LISTED_SCHEMA rows that no ledger part names; an unreadable part might name them."""
    unread = f", but {unreadable_parts} cannot be read" if unreadable_parts else ""
    return finding_for_each(
        unexpected,
        lambda row: Finding(
            row["key"], FindingCode.UNEXPECTED, f"no ledger part names it{unread} ({row['bytes']:,} bytes)"
        ),
    )


def _hex(digest: bytes | str | None) -> str | None:
    return digest.hex() if isinstance(digest, bytes) else digest
