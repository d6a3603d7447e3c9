"""What a gallery shows for each source: the ledger row that counts, and the current result."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.ledger.newest import newest_of_all_jobs
from pipeline.ledger.read import list_some_parts, stream_parts
from pipeline.ledger.schema import LEDGER_SCHEMA
from pipeline.records import Status
from pipeline.storage import Store

#: How certain a run was of its colours, if its ledger says so: numbers from 0 to 1, and the reasons.
DOUBT = ("doubt", "doubt_reasons", "novelty")
#: First about the source and its last run, then about the current result, which an earlier run may have made.
_OF_SOURCE = ("key", "etag", "bytes", "status", "failure_code", "message", "source_sha256", "finished_at")
_OF_RESULT = (
    "output_key",
    "output_sha256",
    "derivative_key",
    "width",
    "height",
    "mean_chroma",
    "method",
    "run_id",
    *(name for name in DOUBT if name in LEDGER_SCHEMA.names),
)
_OF_EARLIER = ("output_key", "output_sha256", "method", "finished_at")
_EARLIER = pa.list_(pa.struct([LEDGER_SCHEMA.field(name).with_nullable(True) for name in _OF_EARLIER]))
CARD_SCHEMA = pa.schema(
    [LEDGER_SCHEMA.field(name).with_nullable(True) for name in (*_OF_SOURCE, *_OF_RESULT)]
    + [pa.field("earlier", _EARLIER)]  # other existing results of the same bytes, newest first
)
_COLUMNS = CARD_SCHEMA.names[:-1]
#: Statuses of rows that name a written or removed file.
_OF_FILES = pa.array([str(status) for status in (Status.COLORIZED, Status.REJECTED, Status.SUPERSEDED)])


def read_cards(out: Store) -> pa.Table:
    """CARD_SCHEMA, one row per source, in the order of their keys.

    Of several rows for a source, the one finished last gives its status. If that one failed and an earlier
    one coloured the image, the earlier result is current, because its file still exists. A rejected image has
    no result.

    Raises:
        ConfigError: there is no ledger. DamagedLedgerPart: a part is damaged. StorageError: one is not read.
    """
    schema = pa.schema([CARD_SCHEMA.field(name) for name in _COLUMNS])
    tables = [schema.empty_table()]
    tables += [table.cast(schema) for table in stream_parts(out, list_some_parts(out), _COLUMNS)]
    rows = pa.concat_tables(tables).combine_chunks()
    of_source = rows.filter(
        pc.not_equal(rows["status"], str(Status.SUPERSEDED))
    )  # this status does not describe the source
    newest = newest_of_all_jobs(of_source, ["key"])
    coloured = rows.filter(pc.equal(rows["status"], str(Status.COLORIZED)))
    results = newest_of_all_jobs(coloured, ["key"])
    at = pc.index_in(newest["key"], value_set=results["key"])
    same = pc.fill_null(pc.equal(results["etag"].take(at), newest["etag"]), False)
    stands = pc.and_(same, pc.not_equal(newest["status"], str(Status.REJECTED)))
    at = pc.if_else(stands, at, pa.scalar(None, at.type))  # else it is a result of another picture
    for name in _OF_RESULT:
        taken = results[name].take(at)
        if name not in ("output_key", "output_sha256", "derivative_key"):  # a failed row has its own
            taken = pc.coalesce(taken, newest[name])
        newest = newest.set_column(newest.schema.get_field_index(name), name, taken)
    return newest.append_column(CARD_SCHEMA.field("earlier"), _earlier(newest, rows))


def _earlier(newest: pa.Table, rows: pa.Table) -> pa.Array:
    """For each card, the results of the same source bytes under other keys, for example in another format."""
    files = rows.filter(pc.is_in(rows["status"], value_set=_OF_FILES))
    last = newest_of_all_jobs(files, ["output_key"])  # overwritten or removed files do not count
    last = last.filter(pc.equal(last["status"], str(Status.COLORIZED)))
    at = pc.index_in(last["key"], value_set=newest["key"])
    others = pc.and_(
        pc.equal(last["etag"], newest["etag"].take(at)),
        pc.not_equal(last["output_key"], newest["output_key"].take(at)),  # null: rejected
    )
    by_key = defaultdict[str, list[dict[str, Any]]](list)
    some = last.filter(pc.fill_null(others, False)).sort_by([("finished_at", "descending")])
    for row in some.to_pylist():
        by_key[row["key"]].append({name: row[name] for name in _OF_EARLIER})
    if not by_key:
        return pa.nulls(newest.num_rows, _EARLIER)
    return pa.array([by_key.get(key) for key in newest["key"].to_pylist()], _EARLIER)
