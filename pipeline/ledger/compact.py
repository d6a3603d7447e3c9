"""Compact: the ledger of a job digest as one file for people, one row per source object, in key order."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import StorageError
from pipeline.ledger.keys import compacted_key
from pipeline.ledger.newest import newest_in_job
from pipeline.ledger.read import list_parts, stream_parts
from pipeline.ledger.schema import LEDGER_SCHEMA
from pipeline.ledger.write import PARQUET
from pipeline.storage import Store
from pipeline.storage.temporary import temporary_folder

#: Parts beyond this many rows stay parts: a person needs a query engine for them.
MOST_ROWS = 1_000_000
#: Rows that are read from the temporary file together, batches of these that are kept, and rows of the
#: result's row groups. Parts hold neighbours, so that rows in key order are in few batches.
_BATCH, _KEPT, _ROW_GROUP = 512, 64, 10_000
_IDENTITY = ("key", "etag")
#: What decides which row counts, and where the row is in the temporary file.
_PLACE_SCHEMA = pa.schema(
    [
        ("key", pa.large_string()),
        ("etag", pa.large_string()),
        ("attempts", pa.int32()),
        ("finished_at", LEDGER_SCHEMA.field("finished_at").type),
        ("batch", pa.int32()),
        ("row", pa.int32()),
    ]
)


def compact_ledger(out: Store, job_digest: str, run_id: str) -> str | None:
    """Write `runs/<run id>/ledger.parquet` from all parts of the job digest; these stay, they are the record.

    Of several rows for one version of a source (`plan.retry_failed`, two runs at once) the one that
    `newest_in_job` takes stays, as in a plan. The rows pass through a file in TMPDIR, for a driver must not
    grow with the archive: of each its key, ETag and place are in memory, and the bytes of the result.

    Returns:
        The key below OUT, or None where there are more than MOST_ROWS rows.

    Raises:
        DamagedLedgerPart: a part is damaged. StorageError: a part cannot be read, or a file not be written.
    """
    try:
        with temporary_folder() as folder:
            data = _compacted(out, job_digest, folder / "rows.arrow")
    except OSError as error:
        raise StorageError(f"cannot write to TMPDIR: {error}; make room, or set TMPDIR") from None
    if data is None:
        return None
    key = compacted_key(run_id)
    out.put(key, data, PARQUET)
    return key


def _compacted(out: Store, job_digest: str, scratch: Path) -> bytes | None:
    places = [_PLACE_SCHEMA.empty_table()]
    rows = batches = 0
    with pa.OSFile(str(scratch), "wb") as file, pa.ipc.new_file(file, LEDGER_SCHEMA) as writer:
        for table in stream_parts(out, list_parts(out, job_digest)):
            places.append(_places(table, batches))
            for batch in table.combine_chunks().to_batches(max_chunksize=_BATCH):
                writer.write_batch(batch)
                batches += 1
            rows += table.num_rows
            if rows > MOST_ROWS:  # of which some may be there twice, after a merge
                places = [_newest(places)]
                rows = places[0].num_rows
                if rows > MOST_ROWS:
                    return None
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, LEDGER_SCHEMA, compression="zstd", write_page_checksum=True) as parquet:
        for rows_in_order in _in_order(scratch, _newest(places)):
            parquet.write_table(rows_in_order)
    return buffer.getvalue()


def _places(table: pa.Table, first_batch: int) -> pa.Table:
    at = np.arange(table.num_rows, dtype=np.int32)
    columns = [table[name].cast(_PLACE_SCHEMA.field(name).type) for name in _PLACE_SCHEMA.names[:4]]
    return pa.table([*columns, first_batch + at // _BATCH, at % _BATCH], schema=_PLACE_SCHEMA)


def _newest(places: list[pa.Table]) -> pa.Table:
    return newest_in_job(pa.concat_tables(places), _IDENTITY)


def _in_order(scratch: Path, places: pa.Table) -> Iterator[pa.Table]:
    """The rows at these places, in their order."""
    with pa.OSFile(str(scratch)) as file, pa.ipc.open_file(file) as reader:
        batch_at = lru_cache(_KEPT)(reader.get_batch)
        for start in range(0, places.num_rows, _ROW_GROUP):
            batches, rows = (places[name].slice(start, _ROW_GROUP).to_numpy() for name in ("batch", "row"))
            used, numbers = np.unique(batches, return_inverse=True)
            tables = [pa.Table.from_batches([batch_at(int(batch))]) for batch in used]
            starts = np.cumsum([0, *(table.num_rows for table in tables)])[:-1]
            yield pa.concat_tables(tables).take(pa.array(starts[numbers] + rows))
