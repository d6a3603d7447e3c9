"""Apply rejections: first write the rows, then remove the files.

A rejected row copies the coloured row that it follows, with the status `rejected`; its keys and checksums
name the removed files. It is in the ledger of the same job digest, one microsecond after all other rows of
its source. With the time of another clock it might be older than the result, or newer than the next result
that a run makes after the rejection is undone.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import StorageError
from pipeline.ledger.keys import DELIVERED
from pipeline.ledger.newest import newest_in_job, newest_of_all_jobs
from pipeline.ledger.read import list_some_parts, stream_parts
from pipeline.ledger.schema import LEDGER_SCHEMA, LedgerRow
from pipeline.ledger.stream import not_in_use, open_ledger
from pipeline.ledger.write import commit_part
from pipeline.records import Status
from pipeline.review.decisions import Decision
from pipeline.storage import Store
from pipeline.storage.lease import Lease

_AFTER = timedelta(microseconds=1)
_STATUSES = pa.array([str(Status.COLORIZED), str(Status.REJECTED)])


def reject(out: Store, decisions: Mapping[str, Decision], run_id: str, lease: Lease) -> int:
    """Apply the rejections among the current decisions.

    Rows are written first: if this is interrupted, unexpected files remain, and the next call removes them. A
    file name that another source's result now uses stays. A rejection of a different version of the source
    than the one coloured last does nothing, because the present file belongs to the other version.

    Args:
        decisions: by source key, as from `standing`.
        run_id: for the rows.
        lease: the lease of OUT.

    Returns:
        The number of images whose result was removed now.

    Raises:
        DamagedLedgerPart, StorageError: a part or a file cannot be read, written or removed. RunError: the
            lease was lost, so that another job may write at these names.
    """
    rejected = {key: one for key, one in decisions.items() if one.verdict == "reject"}
    rows, ends = _newest_rows(out, rejected)
    fresh = defaultdict[str, list[LedgerRow]](list)
    for row in rows:
        if row.status == Status.COLORIZED:
            fresh[row.job_digest].append(_rejected(row, rejected[row.key], run_id, ends[row.key]))
    lease.check()
    for digest, of_digest in fresh.items():
        if not commit_part(out, digest, _part_name(of_digest), of_digest):
            raise StorageError(f"the ledger {digest} has these rejections already; run it again")
    files = [key for row in rows for key in _files(row)]
    for key in not_in_use(open_ledger(out), files) if files else ():
        lease.check()
        out.delete(key)
    for folder in DELIVERED if rows else ():
        out.drop_empty_folders(folder.removesuffix("/"))
    return len({row.key for of_digest in fresh.values() for row in of_digest})


def _newest_rows(
    out: Store, rejected: Mapping[str, Decision]
) -> tuple[list[LedgerRow], Mapping[str, datetime]]:
    """For each job digest, the coloured or rejected row that counts for each rejected version; and by source
    key, when its last row was finished."""
    if not rejected:
        return [], {}
    keys = pa.array(list(rejected), pa.string())
    tables, ends = [LEDGER_SCHEMA.empty_table()], dict[str, datetime]()
    for table in stream_parts(out, list_some_parts(out)):
        rows = table.filter(pc.is_in(table["key"], value_set=keys))
        for key, end in zip(rows["key"].to_pylist(), rows["finished_at"].to_pylist(), strict=True):
            ends[key] = max(end, ends.get(key, end))
        tables.append(rows.filter(pc.is_in(rows["status"], value_set=_STATUSES)))
    all_rows = pa.concat_tables(tables).combine_chunks()
    last = newest_of_all_jobs(all_rows.select(["key", "etag", "finished_at"]), ["key"]).to_pylist()
    meant = {one["key"] for one in last if one["etag"] == rejected[one["key"]].etag}
    newest = newest_in_job(all_rows, ["job_digest", "key", "etag"])
    decided = (LedgerRow(**{**row, "status": Status(row["status"])}) for row in newest.to_pylist())
    return [row for row in decided if row.key in meant and row.etag == rejected[row.key].etag], ends


def _rejected(row: LedgerRow, decision: Decision, run_id: str, end: datetime) -> LedgerRow:
    when = f"{decision.when:%Y-%m-%d %H:%M} UTC"
    return replace(
        row,
        status=Status.REJECTED,
        message=f"rejected by {decision.who}, {when}; its files were removed",
        attempts=row.attempts + 1,
        run_id=run_id,
        finished_at=end + _AFTER,
    )


def _part_name(rows: Iterable[LedgerRow]) -> str:
    """The same for the same rejections, so that only one of two concurrent callers wins."""
    names = sorted(f"{row.key}\0{row.etag}\0{row.attempts}" for row in rows)
    return "rejected-" + hashlib.sha256("\0".join(names).encode()).hexdigest()[:16]


def _files(row: LedgerRow) -> list[str]:
    """The outputs that a row names, restricted to the output folders."""
    keys = [row.output_key, row.derivative_key, *(row.further_keys or ())]
    return [key for key in keys if key and key.startswith(DELIVERED)]
