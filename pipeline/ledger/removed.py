"""The files of rejected and superseded results: rows name them, but they are removed."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.ledger.files import named_files
from pipeline.ledger.newest import newest_of_all_jobs
from pipeline.ledger.schema import OUTPUT_COLUMNS
from pipeline.records import Status

_GONE = pa.array([str(Status.REJECTED), str(Status.SUPERSEDED)])
#: `finished_at`: microseconds since 1970, when the file was removed, or shortly after it was written.
#: `rejected`: somebody rejected it; otherwise it was superseded.
REMOVED_SCHEMA = pa.schema(
    [("key", pa.large_string()), ("finished_at", pa.int64()), ("rejected", pa.bool_())]
)


def removed_files(table: pa.Table) -> pa.Table:
    """REMOVED_SCHEMA: the outputs that rows name whose files were removed.

    Args:
        table: ledger rows with `status`, `finished_at` and OUTPUT_COLUMNS.
    """
    gone = table.filter(pc.is_in(table["status"], value_set=_GONE))
    files = named_files(gone, OUTPUT_COLUMNS)
    finished_at = gone["finished_at"].take(files["row"]).cast(pa.int64())
    rejected = pc.equal(gone["status"].take(files["row"]), str(Status.REJECTED))
    return pa.table([files["key"], finished_at, rejected], schema=REMOVED_SCHEMA)


def without_removed(files: pa.Table, removed: Sequence[pa.Table]) -> pa.Table:
    """The files without those that were removed after they were written.

    Args:
        files: one row a file, with `key` and `finished_at` in microseconds; all columns stay.
        removed: REMOVED_SCHEMA, any number of rows a key.
    """
    newest = newest_of_all_jobs(pa.concat_tables([REMOVED_SCHEMA.empty_table(), *removed]), ["key"])
    at = pc.index_in(files["key"], value_set=newest["key"].combine_chunks())
    gone = pc.greater_equal(newest["finished_at"].take(at), files["finished_at"])
    return files.filter(pc.invert(pc.fill_null(gone, False)))
