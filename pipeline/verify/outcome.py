"""The result of a verification, as a table for programs and lines for people."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from pipeline import __version__
from pipeline.cli.counts import counted
from pipeline.errors import EXIT_DONE, EXIT_FINDINGS
from pipeline.ledger.keys import FINDINGS, SUMMARY
from pipeline.ledger.write import PARQUET, parquet_bytes
from pipeline.storage import Store
from pipeline.storage.base import printable

#: Findings that are shown on the terminal; the report has them all.
_SHOWN = 10


@dataclass
class VerificationTally:
    """The totals so far: ledger parts, the keys that they name, objects and bytes read again, tables of
    findings, and superseded objects, which are not read."""

    parts: int = 0
    expected: int = 0
    objects: int = 0
    bytes: int = 0
    findings: list[pa.Table] = field(default_factory=list)
    superseded: int = 0

    @property
    def finding_count(self) -> int:
        """How many findings there are."""
        return sum(table.num_rows for table in self.findings)

    def table(self) -> pa.Table:
        """All findings, by key."""
        return pa.concat_tables(self.findings).sort_by("key")


def plan_text(output: str, tally: VerificationTally, hashed: list[pa.Table]) -> str:
    """The text about what will be read."""
    size = sum(table["bytes"].to_numpy().sum() for table in hashed) / 1e6
    earlier = counted(tally.superseded, "file")
    left_out = f"\nearlier  {earlier} of superseded results are not checked: fiat-color prune lists them"
    return (
        f"output   {output}: {counted(tally.parts, 'ledger part')}, "
        f"{counted(tally.expected, 'file')} named\n"
        f"to read  {counted(sum(table.num_rows for table in hashed), 'file')}, {size:,.1f} MB"
    ) + (left_out if tally.superseded else "")


def summarise(tally: VerificationTally, output: str, source: str | None, seconds: float) -> dict[str, Any]:
    """The content of summary.json."""
    kinds = tally.table()["finding"].value_counts().to_pylist()
    return {
        "output": output,
        "input": source,
        "software": f"Fiat Color {__version__}",
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "ledger_parts": tally.parts,
        "expected": tally.expected,
        "hashed": tally.objects,
        "bytes": tally.bytes,
        "superseded": tally.superseded,
        "findings": {kind["values"]: kind["counts"] for kind in kinds},
        "exit_status": EXIT_FINDINGS if tally.finding_count else EXIT_DONE,
    }


def write_report(report: Store, tally: VerificationTally, summary: dict[str, Any]) -> None:
    """Write findings.parquet and then summary.json, whose presence shows that the verification has finished.

    Raises:
        StorageError: it cannot be written.
    """
    report.put(FINDINGS, parquet_bytes(tally.table()), PARQUET)
    report.put(SUMMARY, (json.dumps(summary, indent=2) + "\n").encode(), "application/json")


def summary_text(report: Store, tally: VerificationTally, summary: dict[str, Any]) -> str:
    """The first findings, the totals and where the report is."""
    shown = tally.table().slice(0, _SHOWN).to_pylist()
    lines = [printable(f"{row['finding']}: {row['key']}: {row['message']}") for row in shown]
    if tally.finding_count > _SHOWN:
        lines.append(f"and {tally.finding_count - _SHOWN:,} more")
    lines.append(
        f"verified {counted(tally.objects, 'file')} in {summary['seconds']} s: "
        f"{counted(tally.finding_count, 'finding')}"
    )
    return "\n".join([*lines, f"report   {report.uri}/{FINDINGS}"])
