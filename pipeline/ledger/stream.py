"""The ledger rows that count across job digests, as a stream: an export has more rows than memory.

First pass: of every row its key, checksum, time and place, as Arrow. Second pass: the whole rows, some ledger
parts at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.ledger.files import named_files
from pipeline.ledger.newest import newest_of_all_jobs
from pipeline.ledger.read import list_some_parts, stream_parts
from pipeline.ledger.removed import removed_files, without_removed
from pipeline.ledger.schema import LEDGER_SCHEMA, OUTPUT_COLUMNS, SOURCE_COLUMNS
from pipeline.records import Status
from pipeline.storage import Store

#: A row by its place: `part` is an index into `LedgerParts.keys`, `row` one into the part; `sha256` in hex.
PLACE_SCHEMA = pa.schema(
    [
        ("key", pa.large_string()),
        ("sha256", pa.string()),
        ("finished_at", pa.int64()),
        ("part", pa.int32()),
        ("row", pa.int32()),
    ]
)
_IN_PLACE = [("part", "ascending"), ("row", "ascending")]


@dataclass(frozen=True)
class LedgerParts:
    """The ledger parts of all job digests below OUT as they were listed once, in the order of their keys."""

    out: Store
    keys: tuple[str, ...]

    def read(
        self, numbers: Sequence[int], columns: Sequence[str] = LEDGER_SCHEMA.names
    ) -> Iterator[pa.Table]:
        """These parts in this order. Raises as `read_part`: an export leaves no row out in silence."""
        return stream_parts(self.out, (self.keys[number] for number in numbers), columns)


def open_ledger(out: Store) -> LedgerParts:
    """The ledger below OUT. Raises as `list_some_parts`."""
    return LedgerParts(out, tuple(list_some_parts(out)))


def newest_images(parts: LedgerParts) -> pa.Table:
    """PLACE_SCHEMA, one row a source image, by place: the row finished last says what became of it."""
    return _newest(parts, SOURCE_COLUMNS)


def newest_objects(parts: LedgerParts) -> pa.Table:
    """PLACE_SCHEMA, one row a delivered object (key below OUT), by place.

    As in a verification: of several rows for one object the one finished last counts, and an image that was
    delivered stays so when a later run failed to colour its source again. What was rejected is none.
    """
    return _newest(parts, OUTPUT_COLUMNS)


def rows_at(parts: LedgerParts, places: pa.Table) -> Iterator[pa.Table]:
    """The rows at these places, part by part: LEDGER_SCHEMA, and the columns of `places` as `at_<name>`.

    Args:
        places: PLACE_SCHEMA and more, by place; a place may occur twice.
    """
    numbers, starts = np.unique(places["part"].to_numpy(), return_index=True)
    stops = [*starts, places.num_rows][1:]
    for table, start, stop in zip(parts.read(numbers.tolist()), starts, stops, strict=True):
        here = places.slice(int(start), int(stop - start))
        rows = table.take(here["row"])
        for name in here.column_names:
            rows = rows.append_column(f"at_{name}", here[name])
        yield rows


def _newest(parts: LedgerParts, columns: Sequence[tuple[str, str]]) -> pa.Table:
    names = ("key", "status", "finished_at", *(name for pair in columns for name in pair if name != "key"))
    tables, removed = [PLACE_SCHEMA.empty_table()], list[pa.Table]()
    for number, table in enumerate(parts.read(range(len(parts.keys)), names)):
        tables.append(_places(table, number, columns))
        if columns == OUTPUT_COLUMNS:
            removed.append(removed_files(table))
    newest = newest_of_all_jobs(pa.concat_tables(tables), ["key"])
    return without_removed(newest, removed).sort_by(_IN_PLACE)


def _places(table: pa.Table, number: int, columns: Sequence[tuple[str, str]]) -> pa.Table:
    """Where the rows stand that name a file in these columns; of outputs only those that were coloured."""
    files = named_files(table, columns)
    if columns == OUTPUT_COLUMNS:
        files = files.filter(pc.equal(table["status"].take(files["row"]), str(Status.COLORIZED)))
    places = [
        files["key"],
        files["sha256"],
        table["finished_at"].take(files["row"]).cast(pa.int64()),
        pa.array(np.full(files.num_rows, number, np.int32)),
        files["row"],
    ]
    return pa.table(places, schema=PLACE_SCHEMA)
