"""Compact the ledger of a job digest into one file for people: one row per source object, in key order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import StorageError
from pipeline.ledger.keys import compacted_key
from pipeline.ledger.newest import newest_in_job
from pipeline.ledger.read import list_parts, stream_parts
from pipeline.ledger.schema import LEDGER_SCHEMA
from pipeline.ledger.write import PARQUET
from pipeline.storage import Store
from pipeline.storage.temporary import temporary_folder

#: With more rows than this, no compact file is written: people need a query engine then.
MOST_ROWS = 1_000_000
#: Rows that are read from a temporary file together, rows of the result's row groups, about as many as are
#: sorted at a time, and of how many rows one key is kept to know where to divide them.
_BATCH, _ROW_GROUP, _STEP = 512, 2_500, 128
_IDENTITY = ("key", "etag")


def compact_ledger(out: Store, job_digest: str, run_id: str) -> str | None:
    """Write `runs/<run id>/ledger.parquet` from all parts of the job digest. The parts stay as the record.

    Of several rows for one version of a source (`plan.retry_failed`, two parallel runs), it keeps the one
    that `newest_in_job` selects, as a plan does. The rows pass through files in TMPDIR, because the driver's
    memory must not grow with the archive: it holds a few thousand rows and one key in a hundred.

    Returns:
        The key below OUT, or None where there are more than MOST_ROWS rows.

    Raises:
        DamagedLedgerPart: a part is damaged. StorageError: a part cannot be read, or a file not be written.
    """
    key = compacted_key(run_id)
    try:
        with temporary_folder() as folder:
            path = _compacted(stream_parts(out, list_parts(out, job_digest)), folder)
            if path is None:
                return None
            out.put_file(key, path, PARQUET)
    except OSError as error:
        raise StorageError(f"cannot write to TMPDIR: {error}; make room, or set TMPDIR") from None
    return key


@dataclass
class _Rows:
    """Rows in a file of batches: the smallest and largest key of each batch, and a sample of all keys."""

    path: Path
    count: int = 0
    bounds: list[tuple[str, str]] = field(default_factory=list)
    sample: list[str] = field(default_factory=list)


def _compacted(tables: Iterator[pa.Table], folder: Path) -> Path | None:
    """The file of the result; None where there are too many rows.

    Args:
        tables: of LEDGER_SCHEMA, in the order of their parts.
    """
    most = MOST_ROWS
    rows = _put_aside(folder / "parts.arrow", tables, most)
    while rows.count > most:  # some rows may occur twice after a merge
        newest = _put_aside(folder / "newest.arrow", _newest(rows))
        if newest.count > MOST_ROWS:
            return None
        most = newest.count + MOST_ROWS // 2
        rows = _put_aside(rows.path, chain(_newest(newest), tables), most)
    path, count = folder / "ledger.parquet", 0
    with pq.ParquetWriter(path, LEDGER_SCHEMA, compression="zstd", write_page_checksum=True) as parquet:
        for group in _groups(_newest(rows)):
            parquet.write_table(group)
            count += group.num_rows
    return path if count <= MOST_ROWS else None


def _put_aside(path: Path, tables: Iterable[pa.Table], most: float = float("inf")) -> _Rows:
    """Write tables to a file; stop after `most` rows."""
    rows = _Rows(path)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, LEDGER_SCHEMA) as writer:
        for table in tables:
            for batch in table.combine_chunks().to_batches(max_chunksize=_BATCH):
                writer.write_batch(batch)
                ends = pc.min_max(batch["key"]).as_py()
                rows.bounds.append((ends["min"], ends["max"]))
                rows.sample += batch["key"][::_STEP].to_pylist()
            rows.count += table.num_rows
            if rows.count > most:
                break
    return rows


def _newest(rows: _Rows) -> Iterator[pa.Table]:
    """The row that counts for each version of a source, by key, in portions.

    Parts hold neighbouring keys, so few batches overlap any key range.
    """
    every = max(1, _ROW_GROUP // _STEP)
    cuts = sorted({*sorted(rows.sample)[every::every]})
    with pa.OSFile(str(rows.path)) as file, pa.ipc.open_file(file) as reader:
        for start, end in pairwise([None, *cuts, None]):
            numbers = (n for n, ends in enumerate(rows.bounds) if _meets(ends, start, end))
            batches = [_within(reader.get_batch(n), start, end) for n in numbers]
            if batches:
                yield newest_in_job(pa.Table.from_batches(batches), _IDENTITY)


def _meets(ends: tuple[str, str], start: str | None, end: str | None) -> bool:
    return (end is None or ends[0] < end) and (start is None or ends[1] >= start)


def _within(batch: pa.RecordBatch, start: str | None, end: str | None) -> pa.RecordBatch:
    """The rows whose key is not before `start`, and before `end`."""
    if start is not None:
        batch = batch.filter(pc.greater_equal(batch["key"], start))
    return batch if end is None else batch.filter(pc.less(batch["key"], end))


def _groups(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The rows in tables of _ROW_GROUP, the last one shorter."""
    waiting = LEDGER_SCHEMA.empty_table()
    for table in tables:
        waiting = pa.concat_tables([waiting, table])
        while waiting.num_rows >= _ROW_GROUP:
            yield waiting.slice(0, _ROW_GROUP).combine_chunks()
            waiting = waiting.slice(_ROW_GROUP)
    if waiting.num_rows:
        yield waiting.combine_chunks()
