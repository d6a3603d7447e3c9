"""The expected objects, from the ledgers of all job digests, as Arrow tables.

Arrow instead of Python objects: a row takes 48 bytes plus its key, so millions of rows fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigError, CredentialsRefused, DamagedLedgerPart, StorageError
from pipeline.ledger.files import named_files
from pipeline.ledger.newest import newest_of_all_jobs
from pipeline.ledger.read import list_some_parts, map_parts, read_part
from pipeline.ledger.removed import removed_files
from pipeline.ledger.schema import OUTPUT_COLUMNS, SOURCE_COLUMNS
from pipeline.ledger.stream import RESULTS_SCHEMA, result_places, split_delivered
from pipeline.records import Status
from pipeline.storage import Store
from pipeline.verify.findings import Finding, FindingCode

#: `sha256` is null where a row has none; `finished_at` counts microseconds since the epoch.
EXPECTED_SCHEMA = pa.schema(
    [("key", pa.large_string()), ("sha256", pa.binary(32)), ("finished_at", pa.int64())]
)
_PLACED_SCHEMA = pa.schema([*EXPECTED_SCHEMA, ("part", pa.int32()), ("row", pa.int32())])
_COLUMNS = ("status", "finished_at", *(name for pair in (*SOURCE_COLUMNS, *OUTPUT_COLUMNS) for name in pair))


@dataclass(frozen=True)
class Expected:
    """`outputs` and `sources`: EXPECTED_SCHEMA, one row a key, by key. `unreadable`: by part.

    `superseded`: EXPECTED_SCHEMA, files of superseded results.
    """

    outputs: pa.Table
    sources: pa.Table
    parts: int
    unreadable: list[Finding]
    superseded: pa.Table = field(default_factory=EXPECTED_SCHEMA.empty_table)


class _Part(NamedTuple):
    outputs: pa.Table
    sources: pa.Table
    removed: pa.Table
    results: pa.Table


def read_expected(out: Store) -> Expected:
    """The files that all ledgers below OUT name; of several rows for one key the latest counts.

    Files of rejected and superseded results are not expected. Sources are all those whose bytes were read and
    hashed, whatever their status. A damaged part is a finding; what the other parts name is still verified.

    Raises:
        ConfigError: there is no ledger. StorageError: the whole store fails, not just one part.
    """
    parts = {key: number for number, key in enumerate(list_some_parts(out))}
    outputs, sources = [_PLACED_SCHEMA.empty_table()], [_PLACED_SCHEMA.empty_table()]
    removed, results, unreadable = list[pa.Table](), [RESULTS_SCHEMA.empty_table()], list[Finding]()
    for part in map_parts(partial(_read, out, parts), parts):
        if isinstance(part, Finding):
            unreadable.append(part)
        else:
            outputs.append(part.outputs)
            sources.append(part.sources)
            removed.append(part.removed)
            results.append(part.results)
    delivered = split_delivered(pa.concat_tables(outputs), pa.concat_tables(results), removed)
    current, superseded = (_by_key(table) for table in delivered)
    newest_sources = _by_key(newest_of_all_jobs(pa.concat_tables(sources), ["key"]))
    return Expected(current, newest_sources, len(parts), unreadable, superseded)


def finding_unless_store_fails(store: Store, error: StorageError, finding: Finding) -> Finding:
    """Return the finding if the store still answers: only this object is at fault. Else raise the error."""
    if isinstance(error, CredentialsRefused):
        raise error
    try:
        store.check_readable()
    except (StorageError, ConfigError):
        raise error from None
    return finding


def _read(out: Store, parts: Mapping[str, int], key: str) -> _Part | Finding:
    try:
        table = read_part(out, key, _COLUMNS)
    except DamagedLedgerPart as error:
        return Finding(key, FindingCode.LEDGER_UNREADABLE, str(error))
    except StorageError as error:
        finding = Finding(key, FindingCode.LEDGER_UNREADABLE, str(error))
        return finding_unless_store_fails(out, error, finding)
    table = table.append_column("row", pa.array(np.arange(table.num_rows, dtype=np.int32)))
    colorized = table.filter(pc.equal(table["status"], str(Status.COLORIZED)))
    hashed = table.filter(pc.is_valid(table["source_sha256"]))
    return _Part(
        _expected(colorized, OUTPUT_COLUMNS, parts[key]),
        _expected(hashed, SOURCE_COLUMNS, parts[key]),
        removed_files(table),
        result_places(table, parts[key]),
    )


def _expected(table: pa.Table, columns: Sequence[tuple[str, str]], part: int) -> pa.Table:
    """_PLACED_SCHEMA: the files that these columns name, keys and checksums, and by which row."""
    files = named_files(table, columns)
    digests = [None if text is None else bytes.fromhex(text) for text in files["sha256"].to_pylist()]
    finished_at = table["finished_at"].take(files["row"]).cast(pa.int64())
    parts, rows = pa.array(np.full(files.num_rows, part, np.int32)), table["row"].take(files["row"])
    columns_ = [files["key"], pa.array(digests, pa.binary(32)), finished_at, parts, rows]
    return pa.table(columns_, schema=_PLACED_SCHEMA)


def _by_key(placed: pa.Table) -> pa.Table:
    return placed.select(EXPECTED_SCHEMA.names).sort_by("key").combine_chunks()
