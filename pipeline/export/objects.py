"""The delivered objects: what the ledger names beside what is there."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.ledger.schema import DELIVERED
from pipeline.ledger.stream import Parts, newest_objects
from pipeline.verify.compare import listed_table
from pipeline.verify.findings import Finding, Found, findings_of, findings_table


@dataclass(frozen=True)
class Objects:
    """`there`: PLACED_SCHEMA with `etag` and `bytes`, by place. `findings`: FINDINGS_SCHEMA.

    `unexpected` counts objects that no ledger part names; no export has them.
    """

    there: pa.Table
    findings: pa.Table
    unexpected: int


def find_objects(parts: Parts) -> Objects:
    """Lay the newest row of each object beside the listing of OUT. A row without checksum proves nothing.

    Raises:
        StorageError: a ledger part cannot be read, or OUT not be listed.
    """
    named = newest_objects(parts)
    listed = listed_table(info for folder in DELIVERED for info in parts.out.list(folder))
    at = pc.index_in(named["key"], value_set=listed["key"])
    known = pc.is_valid(at)
    there = named.filter(known)
    for name in ("etag", "bytes"):
        there = there.append_column(name, listed[name].take(at.filter(known)))
    proven = pc.is_valid(there["sha256"])
    findings = [
        findings_table(()),
        findings_of(named.filter(pc.invert(known)), _missing),
        findings_of(there.filter(pc.invert(proven)), _unproven),
    ]
    return Objects(there.filter(proven), pa.concat_tables(findings), listed.num_rows - there.num_rows)


def _missing(row: dict[str, str]) -> Found:
    return Found(row["key"], Finding.MISSING, "the ledger names it, and it is not there", row["sha256"])


def _unproven(row: dict[str, str]) -> Found:
    return Found(row["key"], Finding.NO_CHECKSUM, "its ledger row has no SHA-256 to compare with")
