"""What a verification has found, as a table for programs and lines for people."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import __version__
from pipeline.errors import EXIT_DONE
from pipeline.storage import Store
from pipeline.storage.base import printable
from pipeline.verify.findings import EXIT_FINDINGS, Finding, Found, findings_of

#: Findings that are shown on the terminal; the report has them all.
_SHOWN = 10


@dataclass
class Tally:
    """The totals so far: ledger parts, keys they name, objects and bytes read again, tables of findings."""

    parts: int = 0
    expected: int = 0
    objects: int = 0
    bytes: int = 0
    findings: list[pa.Table] = field(default_factory=list)

    @property
    def found(self) -> int:
        return sum(table.num_rows for table in self.findings)

    def table(self) -> pa.Table:
        """All findings, by key."""
        return pa.concat_tables(self.findings).sort_by("key")


def absent(missing: pa.Table, finding: Finding) -> pa.Table:
    """Findings for EXPECTED_SCHEMA rows that nothing is there for."""
    said = "the ledger names it, and it is not there"
    return findings_of(missing, lambda row: Found(row["key"], finding, said, _hex(row["sha256"])))


def stray(unexpected: pa.Table, unreadable_parts: int) -> pa.Table:
    """Findings for LISTED_SCHEMA rows that no ledger part names; it may be in one that cannot be read."""
    blind = f", but {unreadable_parts} cannot be read" if unreadable_parts else ""
    said = f"no ledger part names it{blind} ({{:,}} bytes)"
    return findings_of(
        unexpected, lambda row: Found(row["key"], Finding.UNEXPECTED, said.format(row["bytes"]))
    )


def unchecked(both: pa.Table) -> pa.Table:
    """Findings for objects whose ledger row has no checksum."""
    said = "its ledger row has no SHA-256 to compare with"
    bare = both.filter(both["sha256"].is_null())
    return findings_of(bare, lambda row: Found(row["key"], Finding.NO_CHECKSUM, said))


def _hex(digest: bytes | None) -> str | None:
    return digest.hex() if digest is not None else None


def plan_text(output: str, tally: Tally, hashed: list[pa.Table]) -> str:
    """What is about to be read."""
    size = sum(table["bytes"].to_numpy().sum() for table in hashed) / 1e6
    return (
        f"output   {output}: {tally.parts:,} ledger parts, {tally.expected:,} objects named\n"
        f"to read  {sum(table.num_rows for table in hashed):,} objects, {size:,.1f} MB"
    )


def summarise(tally: Tally, output: str, source: str | None, seconds: float) -> dict[str, Any]:
    """What summary.json holds."""
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
        "findings": {kind["values"]: kind["counts"] for kind in kinds},
        "exit_status": EXIT_FINDINGS if tally.found else EXIT_DONE,
    }


def write_report(report: Store, tally: Tally, summary: dict[str, Any]) -> None:
    """Put findings.parquet and then summary.json, whose presence says that the verification finished.

    Raises:
        StorageError: it cannot be written.
    """
    buffer = io.BytesIO()
    pq.write_table(tally.table(), buffer, compression="zstd")
    report.put("findings.parquet", buffer.getvalue(), "application/vnd.apache.parquet")
    report.put("summary.json", (json.dumps(summary, indent=2) + "\n").encode(), "application/json")


def summary_text(report: Store, tally: Tally, summary: dict[str, Any]) -> str:
    """The first findings, the totals and where the report is."""
    shown = tally.table().slice(0, _SHOWN).to_pylist()
    lines = [printable(f"{row['finding']}: {row['key']}: {row['message']}") for row in shown]
    if tally.found > _SHOWN:
        lines.append(f"and {tally.found - _SHOWN:,} more")
    lines.append(f"verified {tally.objects:,} objects in {summary['seconds']} s: {tally.found:,} findings")
    return "\n".join([*lines, f"report   {report.uri}/findings.parquet"])
