"""What must be there: the ledgers of all job digests together, as Arrow tables.

Arrow and not Python objects: a row takes 48 bytes and its key, so that millions of them fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigError, CredentialsRefused, DamagedLedgerPart, StorageError
from pipeline.ledger.files import named_files
from pipeline.ledger.newest import newest_of_all_jobs
from pipeline.ledger.read import list_some_parts, map_parts, read_part
from pipeline.ledger.removed import removed_files, without_removed
from pipeline.ledger.schema import OUTPUT_COLUMNS, SOURCE_COLUMNS
from pipeline.records import Status
from pipeline.storage import Store
from pipeline.verify.findings import Finding, FindingCode

#: `sha256` is null where a row has none; `finished_at` counts microseconds since the epoch.
EXPECTED_SCHEMA = pa.schema(
    [("key", pa.large_string()), ("sha256", pa.binary(32)), ("finished_at", pa.int64())]
)
_COLUMNS = ("status", "finished_at", *(name for pair in (*SOURCE_COLUMNS, *OUTPUT_COLUMNS) for name in pair))


@dataclass(frozen=True)
class Expected:
    """`outputs` and `sources`: EXPECTED_SCHEMA, one row a key, by key. `unreadable`: by part."""

    outputs: pa.Table
    sources: pa.Table
    parts: int
    unreadable: list[Finding]


class _Part(NamedTuple):
    outputs: pa.Table
    sources: pa.Table
    removed: pa.Table


def read_expected(out: Store) -> Expected:
    """What the ledgers of all job digests below OUT name; of several rows for one key the latest counts.

    Files of rejected results are not expected. Sources are those whose bytes were read and hashed, whatever
    became of them. A damaged part is a finding: what the other parts name can be verified all the same.

    Raises:
        ConfigError: there is no ledger at all. StorageError: the store fails, not just one part.
    """
    outputs, sources = [EXPECTED_SCHEMA.empty_table()], [EXPECTED_SCHEMA.empty_table()]
    removed, unreadable, count = list[pa.Table](), list[Finding](), 0
    for part in map_parts(partial(_read, out), list_some_parts(out)):
        count += 1
        if isinstance(part, Finding):
            unreadable.append(part)
        else:
            outputs.append(part.outputs)
            sources.append(part.sources)
            removed.append(part.removed)
    delivered = without_removed(_newest(outputs), removed).combine_chunks()
    return Expected(delivered, _newest(sources), count, unreadable)


def finding_unless_store_fails(store: Store, error: StorageError, finding: Finding) -> Finding:
    """The finding, if the store still answers: then the fault is this object's. Else the error is raised."""
    if isinstance(error, CredentialsRefused):
        raise error
    try:
        store.check_readable()
    except (StorageError, ConfigError):
        raise error from None
    return finding


def _read(out: Store, key: str) -> _Part | Finding:
    try:
        table = read_part(out, key, _COLUMNS)
    except DamagedLedgerPart as error:
        return Finding(key, FindingCode.LEDGER_UNREADABLE, str(error))
    except StorageError as error:
        finding = Finding(key, FindingCode.LEDGER_UNREADABLE, str(error))
        return finding_unless_store_fails(out, error, finding)
    colorized = table.filter(pc.equal(table["status"], str(Status.COLORIZED)))
    hashed = table.filter(pc.is_valid(table["source_sha256"]))
    return _Part(
        _expected(colorized, OUTPUT_COLUMNS), _expected(hashed, SOURCE_COLUMNS), removed_files(table)
    )


def _expected(table: pa.Table, columns: Sequence[tuple[str, str]]) -> pa.Table:
    """EXPECTED_SCHEMA: the files that these columns name, keys and checksums."""
    files = named_files(table, columns)
    digests = [None if text is None else bytes.fromhex(text) for text in files["sha256"].to_pylist()]
    finished_at = table["finished_at"].take(files["row"]).cast(pa.int64())
    return pa.table([files["key"], pa.array(digests, pa.binary(32)), finished_at], schema=EXPECTED_SCHEMA)


def _newest(tables: list[pa.Table]) -> pa.Table:
    return newest_of_all_jobs(pa.concat_tables(tables), ["key"]).combine_chunks()
