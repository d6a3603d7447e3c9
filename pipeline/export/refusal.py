"""Report why nothing was exported: the findings, as a file for programs and as text for people."""

from __future__ import annotations

import pyarrow as pa
from pyarrow import csv

from pipeline.config.storage import StorageConfig
from pipeline.export.target import Target, open_target
from pipeline.storage.base import printable

#: Findings that are shown on the terminal; the file has them all.
_SHOWN = 10


def write_findings(findings: pa.Table, target: Target, storage: StorageConfig) -> Target:
    """Write all findings, by key, to `TO.findings.csv` next to the export's place; overwrites an older file.

    Raises:
        StorageError: it cannot be written.
    """
    beside = open_target(f"{target.uri.rstrip('/')}.findings.csv", storage)
    with beside.create("text/csv") as file:
        csv.write_csv(findings.sort_by("key"), file)
    return beside


def findings_text(findings: pa.Table, report: Target) -> str:
    """The text with the first findings, their number, and where to find all of them."""
    shown = findings.sort_by("key").slice(0, _SHOWN).to_pylist()
    lines = [printable(f"{row['finding']}: {row['key']}: {row['message']}") for row in shown]
    count = findings.num_rows
    if count > len(shown):
        lines.append(f"and {count - len(shown):,} more")
    lines.append(f"{count:,} findings, so nothing was exported; see docs/verify.md for what to do")
    return "\n".join([*lines, f"report   {report.uri}"])
