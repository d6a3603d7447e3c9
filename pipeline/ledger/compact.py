"""Compact: the ledger of a job digest as one file for people, one row per source object, in key order."""

from __future__ import annotations

import pyarrow as pa

from pipeline.ledger.keys import compacted_key
from pipeline.ledger.newest import newest_in_job
from pipeline.ledger.read import list_parts, stream_parts
from pipeline.ledger.schema import LEDGER_SCHEMA
from pipeline.ledger.write import PARQUET, parquet_bytes
from pipeline.storage import Store

#: Parts beyond this many rows stay parts: the driver would need gigabytes, a person a query engine.
MOST_ROWS = 1_000_000


def compact_ledger(out: Store, job_digest: str, run_id: str) -> str | None:
    """Write `runs/<run id>/ledger.parquet` from all parts of the job digest; these stay, they are the record.

    Of several rows for one version of a source (`plan.retry_failed`, two runs at once) the one that
    `newest_in_job` takes stays, as in a plan.

    Returns:
        The key below OUT, or None where there are more than MOST_ROWS rows.

    Raises:
        DamagedLedgerPart: a part is damaged. StorageError: a part cannot be read, or the file not be written.
    """
    tables, rows = [LEDGER_SCHEMA.empty_table()], 0
    for table in stream_parts(out, list_parts(out, job_digest)):
        rows += table.num_rows
        tables.append(table)
        if rows > MOST_ROWS:  # of which some may be there twice, after a merge
            tables = [newest_in_job(pa.concat_tables(tables), ["key", "etag"])]
            rows = tables[0].num_rows
            if rows > MOST_ROWS:
                return None
    compacted = newest_in_job(pa.concat_tables(tables), ["key", "etag"])
    key = compacted_key(run_id)
    out.put(key, parquet_bytes(compacted), PARQUET)
    return key
