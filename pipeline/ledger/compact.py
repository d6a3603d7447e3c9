"""Compact: the ledger of a job digest as one file for people, one row per source object, in key order."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.ledger.schema import LEDGER_SCHEMA
from pipeline.storage import Store

_THREADS = 16
#: Parts beyond this many rows stay parts: the driver would need gigabytes, a person a query engine.
MOST_ROWS = 1_000_000


def compact_ledger(out: Store, job_digest: str, run_id: str) -> str | None:
    """Write `runs/<run id>/ledger.parquet` from all parts of the job digest; these stay, they are the record.

    Of several rows for one version of a source (`plan.retry_failed`, two runs at once) the one with most
    attempts stands, then the latest: the same rule by which a plan reads the ledger.

    Returns:
        The key below OUT, or None where there are more than MOST_ROWS rows.

    Raises:
        StorageError: a part cannot be read, or the file not be written.
    """
    parts = [found.key for found in out.list(f"ledger/{job_digest}/") if found.key.endswith(".parquet")]
    tables: list[pa.Table] = []
    rows = 0
    with ThreadPoolExecutor(_THREADS) as pool:
        for start in range(0, len(parts), _THREADS):
            chunk = list(pool.map(lambda key: _read(out, key), parts[start : start + _THREADS]))
            rows += sum(table.num_rows for table in chunk)
            if rows > MOST_ROWS:
                return None
            tables += chunk
    buffer = io.BytesIO()
    pq.write_table(_one_row_each(pa.concat_tables(tables)), buffer, compression="zstd")
    key = f"runs/{run_id}/ledger.parquet"
    out.put(key, buffer.getvalue(), "application/vnd.apache.parquet")
    return key


def _read(out: Store, key: str) -> pa.Table:
    return pq.read_table(io.BytesIO(out.get(key).data), schema=LEDGER_SCHEMA)


def _one_row_each(table: pa.Table) -> pa.Table:
    """The row that counts for each (key, etag), by key."""
    order = [
        ("key", "ascending"),
        ("etag", "ascending"),
        ("attempts", "descending"),
        ("finished_at", "descending"),
    ]
    table = table.sort_by(order)
    keys, etags = table["key"].to_pylist(), table["etag"].to_pylist()
    first = [i for i in range(len(keys)) if not i or (keys[i], etags[i]) != (keys[i - 1], etags[i - 1])]
    return table.take(pa.array(first, pa.int64()))
