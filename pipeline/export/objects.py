"""The delivered objects: files that the ledger names, compared with the listing of OUT."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.ledger.keys import DELIVERED
from pipeline.ledger.stream import LedgerParts, delivered_objects
from pipeline.verify.findings import (
    Finding,
    FindingCode,
    finding_for_each,
    findings_table,
    missing_findings,
    no_checksum_findings,
)
from pipeline.verify.listing_comparison import listed_table

_UNFIT_NAME = "the bagit library cannot read this name in a manifest; rename the source and colour it again"


@dataclass(frozen=True)
class DeliveredObjects:
    """`present`: PLACE_SCHEMA with `etag` and `bytes`, by place. `findings`: FINDINGS_SCHEMA.

    `superseded` counts files of superseded results, `unexpected` files that no ledger part names; exports
    omit both.
    """

    present: pa.Table
    findings: pa.Table
    unexpected: int
    superseded: int = 0


def find_objects(parts: LedgerParts) -> DeliveredObjects:
    """Compare the newest row of each object with the listing of OUT. A row without a checksum is a finding.

    Raises:
        DamagedLedgerPart: a part is damaged. StorageError: a part cannot be read, or OUT not be listed.
    """
    newest, superseded = delivered_objects(parts)
    listed = listed_table(info for folder in DELIVERED for info in parts.out.list(folder))
    at = pc.index_in(newest["key"], value_set=listed["key"])
    is_listed = pc.is_valid(at)
    present = newest.filter(is_listed)
    for name in ("etag", "bytes"):
        present = present.append_column(name, listed[name].take(at.filter(is_listed)))
    proven = pc.is_valid(present["sha256"])
    findings = [
        findings_table(()),
        missing_findings(newest.filter(pc.invert(is_listed)), FindingCode.MISSING),
        no_checksum_findings(present.filter(pc.invert(proven))),
    ]
    earlier = pc.sum(pc.is_in(listed["key"], value_set=superseded["key"].combine_chunks())).as_py() or 0
    unexpected = listed.num_rows - present.num_rows - earlier
    return DeliveredObjects(present.filter(proven), pa.concat_tables(findings), unexpected, earlier)


def with_fit_names(
    objects: DeliveredObjects, fits: Callable[[str], bool]
) -> tuple[DeliveredObjects, pa.Table]:
    """The objects whose key `fits` accepts; the others become FINDINGS_SCHEMA rows."""
    present = objects.present
    fit = pa.array([fits(key) for key in present["key"].to_pylist()], pa.bool_())
    left_out = finding_for_each(
        present.filter(pc.invert(fit)),
        lambda row: Finding(row["key"], FindingCode.UNFIT_NAME, _UNFIT_NAME, row["sha256"]),
    )
    return replace(objects, present=present.filter(fit)), left_out
