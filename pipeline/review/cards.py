"""What a gallery shows of each source: the ledger row that counts, and the result that stands."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.ledger.newest import newest_of_all_jobs
from pipeline.ledger.read import list_some_parts, stream_parts
from pipeline.ledger.schema import LEDGER_SCHEMA
from pipeline.records import Status
from pipeline.storage import Store

#: How sure a run was of its colours, where its ledger says so: numbers from 0 to 1, and the reasons.
DOUBT = ("doubt", "doubt_reasons", "novelty")
#: About the source and its last run; then about the result that stands, which an earlier run may have made.
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
CARD_SCHEMA = pa.schema(
    [LEDGER_SCHEMA.field(name).with_nullable(True) for name in (*_OF_SOURCE, *_OF_RESULT)]
)


def read_cards(out: Store) -> pa.Table:
    """CARD_SCHEMA, one row a source in the order of their keys.

    Of several rows for a source the one finished last says what became of it. Where that one failed and an
    earlier one coloured the image, the result is the earlier one's: its file still stands. What was rejected
    has none.

    Raises:
        ConfigError: there is no ledger. DamagedLedgerPart: a part is damaged. StorageError: one is not read.
    """
    columns = (*_OF_SOURCE, *_OF_RESULT)
    tables = [CARD_SCHEMA.empty_table()]
    tables += [table.cast(CARD_SCHEMA) for table in stream_parts(out, list_some_parts(out), columns)]
    rows = pa.concat_tables(tables).combine_chunks()
    newest = newest_of_all_jobs(rows, ["key"])
    coloured = rows.filter(pc.equal(rows["status"], str(Status.COLORIZED)))
    results = newest_of_all_jobs(coloured, ["key"])
    at = pc.index_in(newest["key"], value_set=results["key"])
    same = pc.fill_null(pc.equal(results["etag"].take(at), newest["etag"]), False)
    stands = pc.and_(same, pc.not_equal(newest["status"], str(Status.REJECTED)))
    at = pc.if_else(stands, at, pa.scalar(None, at.type))  # of other bytes is another picture's
    for name in _OF_RESULT:
        taken = results[name].take(at)
        if name not in ("output_key", "output_sha256", "derivative_key"):  # what failed has these of its own
            taken = pc.coalesce(taken, newest[name])
        newest = newest.set_column(newest.schema.get_field_index(name), name, taken)
    return newest
