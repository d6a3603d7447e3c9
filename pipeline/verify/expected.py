"""What must be there: the ledgers of all job digests together, as Arrow tables.

Arrow and not Python objects: a row takes 48 bytes and its key, so that millions of them fit.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import ConfigError, StorageError
from pipeline.ledger.newest import latest
from pipeline.ledger.schema import OUTPUTS
from pipeline.records import Status
from pipeline.storage import Store
from pipeline.verify.findings import Finding, Found

#: `sha256` is null where a row has none; `finished_at` counts microseconds since the epoch.
EXPECTED_SCHEMA = pa.schema(
    [("key", pa.large_string()), ("sha256", pa.binary(32)), ("finished_at", pa.int64())]
)
_THREADS = 16


@dataclass(frozen=True)
class Expected:
    """`outputs` and `sources`: EXPECTED_SCHEMA, one row a key, by key. `unreadable`: by part."""

    outputs: pa.Table
    sources: pa.Table
    parts: int
    unreadable: list[Found]


class _Part(NamedTuple):
    outputs: pa.Table
    sources: pa.Table


def read_expected(out: Store) -> Expected:
    """What the ledgers of all job digests below OUT name; of several rows for one key the latest counts.

    Sources are those whose bytes were read and hashed, whatever became of them.

    Raises:
        ConfigError: there is no ledger at all. StorageError: the store fails, not just one part.
    """
    outputs, sources, unreadable = [], [], []
    count = 0
    for part in _parts(out):
        count += 1
        if isinstance(part, Found):
            unreadable.append(part)
        else:
            outputs.append(part.outputs)
            sources.append(part.sources)
    if not count:
        raise ConfigError(f"there is no ledger below {out.uri}/ledger; give the --output of a colouring run")
    return Expected(_one_each(outputs), _one_each(sources), count, unreadable)


def stop_or_find(store: Store, error: StorageError, found: Found) -> Found:
    """The finding, if the store still answers: then it is this object. Else the error is raised."""
    try:
        store.check_readable()
    except (StorageError, ConfigError):
        raise error from None
    return found


def _parts(out: Store) -> Iterator[_Part | Found]:
    keys = (found.key for found in out.list("ledger/") if found.key.endswith(".parquet"))
    with ThreadPoolExecutor(_THREADS) as pool:
        while some := list(islice(keys, 16 * _THREADS)):
            yield from pool.map(lambda key: _read(out, key), some)


def _read(out: Store, key: str) -> _Part | Found:
    try:
        data = out.get(key).data
    except StorageError as error:
        return stop_or_find(out, error, Found(key, Finding.LEDGER_UNREADABLE, str(error)))
    try:
        return _part(pq.ParquetFile(io.BytesIO(data)))
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        return Found(key, Finding.LEDGER_UNREADABLE, f"it is no ledger part ({reason})")


def _part(file: pq.ParquetFile) -> _Part:
    named = [pair for pair in OUTPUTS if pair[0] in file.schema_arrow.names or pair is OUTPUTS[0]]
    columns = ["key", "source_sha256", "status", "finished_at", *(name for pair in named for name in pair)]
    table = file.read(columns=columns)
    colorized = table.filter(pc.equal(table["status"], str(Status.COLORIZED)))
    outputs = [_expected(colorized, *pair) for pair in named]
    read = table.filter(pc.is_valid(table["source_sha256"]))
    return _Part(pa.concat_tables(outputs), _expected(read, "key", "source_sha256"))


def _expected(table: pa.Table, key: str, sha256: str) -> pa.Table:
    table = table.filter(pc.is_valid(table[key]))
    digests = [None if text is None else bytes.fromhex(text) for text in table[sha256].to_pylist()]
    columns = [
        table[key].cast(pa.large_string()),
        pa.array(digests, pa.binary(32)),
        table["finished_at"].cast(pa.int64()),
    ]
    return pa.table(columns, schema=EXPECTED_SCHEMA)


def _one_each(tables: list[pa.Table]) -> pa.Table:
    return latest(pa.concat_tables([EXPECTED_SCHEMA.empty_table(), *tables]))
