"""The only reader of ledger parts: list them, read one, or read many on threads in bounded memory.

Only this module decides whether a part is damaged; it raises `DamagedLedgerPart` for every caller.
"""

from __future__ import annotations

import io
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import ConfigError, DamagedLedgerPart, ObjectDamaged
from pipeline.ledger.keys import LEDGER, is_part, ledger_folder
from pipeline.ledger.schema import CHECKSUMS, LEDGER_SCHEMA, OUTPUT_COLUMNS
from pipeline.records import Status
from pipeline.storage import Store

#: Parts fetched in parallel, and the most that wait in memory for their reader.
_THREADS = 16
_MOST_OF_A_REASON = 200
#: More rows than any commit writes: a shard has up to 100,000 images, a merged part up to 350,000.
_MOST_ROWS, _MOST_BYTES = 1_000_000, 2 * 2**30
#: Seconds after each try to read a part that is damaged.
_PAUSES = (0.1, 0.3, 0.0)
_STATUSES = pa.array([str(status) for status in Status])
T = TypeVar("T")


def list_parts(out: Store, job_digest: str | None = None) -> Iterator[str]:
    """The keys of the ledger parts of one job digest, or (None) of all, in order.

    Raises:
        StorageError: the ledger cannot be listed.
    """
    folder = LEDGER if job_digest is None else ledger_folder(job_digest)
    return (info.key for info in out.list(folder) if is_part(info.key))


def list_some_parts(out: Store) -> Iterator[str]:
    """Like `list_parts` for all job digests, for a job that needs a ledger.

    Raises:
        ConfigError: there is no part, so OUT is probably misspelt. StorageError: as `list_parts`.
    """
    parts = list_parts(out)
    first = next(parts, None)
    if first is None:
        raise ConfigError(f"there is no ledger below {out.uri}/ledger; give the output of a colouring run")
    yield first
    yield from parts


def read_part(out: Store, key: str, columns: Sequence[str] = LEDGER_SCHEMA.names) -> pa.Table:
    """These columns of a ledger part, typed as in LEDGER_SCHEMA; nulls for columns that an older part lacks.

    A damaged read is retried, because the damage may have happened in transit.

    Raises:
        DamagedLedgerPart: the bytes are not a valid ledger part.
            StorageError: the store does not return them.
    """
    return read_part_and_bytes(out, key, columns)[0]


def read_part_and_bytes(
    out: Store, key: str, columns: Sequence[str] = LEDGER_SCHEMA.names
) -> tuple[pa.Table, bytes]:
    """As `read_part`, with the bytes of the file."""
    for pause in _PAUSES:
        try:
            data = out.get(key).data
            return _sound(data, columns), data
        except ObjectDamaged as error:  # the store has already retried
            raise DamagedLedgerPart(f"{error}; without the part its images are coloured again") from None
        except (pa.ArrowException, OSError, ValueError) as error:  # OSError: a page cannot be decoded
            defect = " ".join(str(error).split())[:_MOST_OF_A_REASON]
        time.sleep(pause)
    raise DamagedLedgerPart(
        f"the ledger part {key} in {out.uri} is damaged ({defect}); restore it from a backup, "
        "or remove it to colour its images again"
    )


def _sound(data: bytes, columns: Sequence[str]) -> pa.Table:
    """The columns. Raises ValueError, or what pyarrow raises, if no commit can have written these bytes."""
    table = _parse(data, columns)
    table.validate(full=True)  # else invalid UTF-8 would fail only where it is used
    if defect := _defect(table):
        raise ValueError(defect)
    return table


def stream_parts(
    out: Store, keys: Iterable[str], columns: Sequence[str] = LEDGER_SCHEMA.names
) -> Iterator[pa.Table]:
    """These columns of many parts, in the order of the keys. Raises as `read_part`."""
    return map_parts(partial(read_part, out, columns=columns), keys)


def map_parts(work: Callable[[str], T], keys: Iterable[str]) -> Iterator[T]:
    """The results of `work` for each key, computed on threads, in the order of the keys; few wait in memory.

    An error of `work` is raised where its result would come.
    """
    waiting: deque[Future[T]] = deque()
    ahead = iter(keys)
    with ThreadPoolExecutor(_THREADS) as pool:
        waiting.extend(pool.submit(work, key) for key in islice(ahead, _THREADS))
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(pool.submit(work, key) for key in islice(ahead, 1))
            yield result


def _parse(data: bytes, columns: Sequence[str]) -> pa.Table:
    """The columns of a Parquet file, cast to their types in LEDGER_SCHEMA; nulls for those that it lacks.

    `pq.read_table` with a schema would do the same, but it starts Arrow's own threads, which sometimes abort
    a process that ends soon afterwards (pyarrow 26). There are enough threads here.
    """
    file = pq.ParquetFile(io.BytesIO(data), page_checksum_verification=True)
    known = [name for name in columns if name in file.schema_arrow.names]
    groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
    if file.metadata.num_rows > _MOST_ROWS or sum(group.total_byte_size for group in groups) > _MOST_BYTES:
        raise ValueError(f"it has more than {_MOST_ROWS:,} rows or {_MOST_BYTES:,} bytes when unpacked")
    table, rows = file.read(columns=known, use_threads=False), file.metadata.num_rows
    schema = pa.schema([LEDGER_SCHEMA.field(name) for name in columns])
    arrays = [
        table[field.name].cast(field.type) if field.name in known else pa.nulls(rows, field.type)
        for field in schema
    ]
    return pa.table(arrays, schema=schema)


def _defect(table: pa.Table) -> str | None:
    """Why no commit can have written this table; None for a valid one."""
    for name in table.column_names:
        column = table[name]
        if column.null_count and not LEDGER_SCHEMA.field(name).nullable:
            return f"the column {name} is missing or has empty cells"
        texts = pc.list_flatten(column) if pa.types.is_list(column.type) else column
        if name in CHECKSUMS and not _all(pc.match_substring_regex(texts, "^[0-9a-f]{64}$")):
            return f"the column {name} holds a value that is not a SHA-256"
        if name == "status" and not _all(pc.is_in(column, value_set=_STATUSES)):
            return "the column status holds an unknown status"
    return _uneven(table)


def _uneven(table: pa.Table) -> str | None:
    """Check that lists of keys and of checksums match."""
    for key, sha256 in OUTPUT_COLUMNS:
        if {key, sha256} <= {*table.column_names} and pa.types.is_list(table.schema.field(key).type):
            lengths = [pc.fill_null(pc.list_value_length(table[name]), 0) for name in (key, sha256)]
            if not _all(pc.equal(*lengths)):
                return f"the columns {key} and {sha256} hold lists of different lengths"
    return None


def _all(holds: pa.ChunkedArray) -> bool:
    """Whether no value is false; nulls count as true."""
    return bool(pc.all(holds, min_count=0).as_py())
