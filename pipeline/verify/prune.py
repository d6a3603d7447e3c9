"""List files of superseded results and, if asked to, remove them.

A ledger row with the status `superseded` records each removed file, so that a run with the earlier settings
colours the image again. The row is in the ledger of the same job digest, one microsecond after the row that
it follows, so that the current result stays newer.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.cli import log
from pipeline.cli.counts import counted
from pipeline.cli.run_id import make_run_id
from pipeline.config.job import JobConfig
from pipeline.errors import EXIT_DONE, FiatColorError, StorageError
from pipeline.ledger.keys import DELIVERED, LEASE
from pipeline.ledger.newest import newest_in_job
from pipeline.ledger.schema import LEDGER_SCHEMA, LedgerRow
from pipeline.ledger.stream import LedgerParts, delivered_objects, open_ledger, without_current
from pipeline.ledger.write import commit_part
from pipeline.records import Status
from pipeline.storage import Store, drop_half_written, open_store
from pipeline.storage.base import printable
from pipeline.storage.lease import Lease, hold_lease
from pipeline.verify.listing_comparison import listed_table

_AGAIN = timedelta(microseconds=1)
_STATUSES = pa.array([str(Status.COLORIZED), str(Status.SUPERSEDED), str(Status.REJECTED)])


@dataclass(frozen=True)
class PruneRequest:
    """The command line: `apply`: remove the files, too."""

    output: str
    config: JobConfig
    apply: bool = False


def run_prune(request: PruneRequest) -> int:
    """List the files of superseded results below OUT, one per line. With `apply`, take the lease and remove
    them, and also half-written files of dead processes.

    Returns:
        0.

    Raises:
        FiatColorError: with the exit status that its class states.
    """
    out = open_store(request.output, request.config.storage)
    out.check_readable()
    try:
        if not request.apply:
            return _say(superseded_files(out), "listed; --apply removes them")
        out.check_writable()
        run_id = make_run_id("prune")
        with hold_lease(out, LEASE, what=f"prune {run_id}") as lease:
            drop_half_written(out)
            return _say(prune(out, run_id, lease), "removed")
    except KeyboardInterrupt:
        raise FiatColorError("interrupted; some files remain: run it again") from None


def superseded_files(out: Store) -> pa.Table:
    """LISTED_SCHEMA, by key: delivered files below OUT that only rows of superseded results name.

    No row of a current result names them. Files that no ledger names are not included.

    Raises:
        ConfigError: there is no ledger. DamagedLedgerPart: a part is damaged and may name any of them.
        StorageError: the store fails.
    """
    return _superseded(open_ledger(out))


def prune(out: Store, run_id: str, lease: Lease) -> pa.Table:
    """Remove the files that `superseded_files` lists, and return the list; `lease` is the lease of OUT.

    Rows are written first: if this is interrupted, the remaining files are still superseded.

    Raises:
        RunError: the lease was lost, so that another job may write at these names. Others as
            `superseded_files`.
    """
    parts = open_ledger(out)
    files = _superseded(parts)
    lease.check()
    for digest, rows in _rows(parts, set(files["key"].to_pylist()), run_id).items():
        if not commit_part(out, digest, _part_name(rows), rows):
            raise StorageError(f"the ledger {digest} has these rows already; run it again")
    for key in files["key"].to_pylist():
        lease.check()
        out.delete(key)
    for folder in DELIVERED if files.num_rows else ():
        out.drop_empty_folders(folder.removesuffix("/"))
    return files


def _superseded(parts: LedgerParts) -> pa.Table:
    current, superseded = delivered_objects(parts)
    listed = listed_table(info for folder in DELIVERED for info in parts.out.list(folder))
    files = listed.filter(pc.is_in(listed["key"], value_set=superseded["key"].combine_chunks()))
    free = without_current(parts.out, files["key"].to_pylist(), current)
    return files.filter(pc.is_in(files["key"], value_set=pa.array(free, pa.large_string()))).sort_by("key")


def _rows(parts: LedgerParts, gone: set[str], run_id: str) -> dict[str, list[LedgerRow]]:
    """By job digest, the rows that record the removed files."""
    tables = [LEDGER_SCHEMA.empty_table()]
    for table in parts.read(range(len(parts.keys))) if gone else ():
        tables.append(table.filter(pc.is_in(table["status"], value_set=_STATUSES)))
    newest = newest_in_job(pa.concat_tables(tables).combine_chunks(), ["job_digest", "key", "etag"])
    rows = defaultdict[str, list[LedgerRow]](list)
    for row in newest.to_pylist():
        if row["status"] == Status.COLORIZED and any(key in gone for key in _named(row)):
            rows[row["job_digest"]].append(_without(row, gone, run_id))
    return rows


def _named(row: dict[str, Any]) -> Iterator[str]:
    yield from (
        key for key in (row["output_key"], row["derivative_key"], *(row["further_keys"] or ())) if key
    )


def _without(row: dict[str, Any], gone: set[str], run_id: str) -> LedgerRow:
    """The row that follows it, naming only the removed files."""
    kept = LedgerRow(**{**row, "status": Status.SUPERSEDED})
    further = [pair for pair in _pairs(row) if pair[0] in gone]
    has_output, has_second = row["output_key"] in gone, row["derivative_key"] in gone
    return replace(
        kept,
        message="superseded by a newer result; its files were removed",
        attempts=kept.attempts + 1,
        run_id=run_id,
        finished_at=kept.finished_at + _AGAIN,
        output_key=kept.output_key if has_output else None,
        output_sha256=kept.output_sha256 if has_output else None,
        derivative_key=kept.derivative_key if has_second else None,
        derivative_sha256=kept.derivative_sha256 if has_second else None,
        further_keys=[key for key, _ in further] or None,
        further_sha256=[sha256 for _, sha256 in further] or None,
    )


def _pairs(row: dict[str, Any]) -> Iterable[tuple[str, str]]:
    return zip(row["further_keys"] or (), row["further_sha256"] or (), strict=True)


def _part_name(rows: Iterable[LedgerRow]) -> str:
    names = sorted(f"{row.key}\0{row.etag}\0{row.attempts}" for row in rows)
    return "superseded-" + hashlib.sha256("\0".join(names).encode()).hexdigest()[:16]


def _say(files: pa.Table, what: str) -> int:
    for row in files.to_pylist():
        line = f"{row['bytes']:>14,}  {printable(row['key'])}"
        log.say("file", line, text=line, key=row["key"], bytes=row["bytes"])
    size = pc.sum(files["bytes"]).as_py() or 0
    text = f"{counted(files.num_rows, 'file')} of superseded results, {size:,} bytes: {what}"
    if not files.num_rows:
        text = "every file belongs to a current result: nothing to remove"
    log.say("summary", text, files=files.num_rows, bytes=size)
    return EXIT_DONE
