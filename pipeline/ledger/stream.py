"""Stream the ledger rows that count across job digests, because an export has more rows than fit in memory.

The first pass reads the key, checksum, time and place of every row as Arrow. The second pass reads the whole
rows, a few ledger parts at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.ledger.files import named_files
from pipeline.ledger.newest import current_results, newest_of_all_jobs
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
#: A row that may determine the current result of a source; `place`: its part and its number in the part.
RESULTS_SCHEMA = pa.schema(
    [("key", pa.large_string()), ("status", pa.string()), ("finished_at", pa.int64()), ("place", pa.int64())]
)
_IN_PLACE = [("part", "ascending"), ("row", "ascending")]


@dataclass(frozen=True)
class LedgerParts:
    """The ledger parts of all job digests below OUT, listed once, in the order of their keys."""

    out: Store
    keys: tuple[str, ...]

    def read(
        self, numbers: Sequence[int], columns: Sequence[str] = LEDGER_SCHEMA.names
    ) -> Iterator[pa.Table]:
        """These parts in this order. Raises as `read_part`, because an export must not silently skip rows."""
        return stream_parts(self.out, (self.keys[number] for number in numbers), columns)


def open_ledger(out: Store) -> LedgerParts:
    """The ledger below OUT. Raises as `list_some_parts`."""
    return LedgerParts(out, tuple(list_some_parts(out)))


def newest_images(parts: LedgerParts) -> pa.Table:
    """PLACE_SCHEMA, one row per source image, by place: the row finished last, which holds its outcome.

    A row about a removed file does not count for an image that has a current result, even at the same time.
    """
    names = ("key", "status", "finished_at", "source_sha256")
    places = [PLACE_SCHEMA.empty_table()]
    for number, table in enumerate(parts.read(range(len(parts.keys)), names)):
        all_places = _places(table, number, SOURCE_COLUMNS)
        superseded = pc.equal(table["status"].take(all_places["row"]), str(Status.SUPERSEDED))
        places.append(all_places.filter(pc.invert(superseded)))
    return newest_of_all_jobs(pa.concat_tables(places), ["key"]).sort_by(_IN_PLACE)


class DeliveredFiles(NamedTuple):
    """Delivered objects (keys below OUT), one row each: PLACE_SCHEMA, by place.

    `current`: files of current results (`current_results`), by the newest row that names them.
    `superseded`: files of superseded results. They are included even after prune has removed them, because it
    may have been killed before it removed the files; callers must check which files exist.
    """

    current: pa.Table
    superseded: pa.Table


def newest_objects(parts: LedgerParts) -> pa.Table:
    """`Delivered.current`."""
    return delivered_objects(parts).current


def delivered_objects(parts: LedgerParts) -> DeliveredFiles:
    """The objects that the ledgers of all job digests name. Raises as `LedgerParts.read`."""
    tables, removed, results = [PLACE_SCHEMA.empty_table()], list[pa.Table](), [RESULTS_SCHEMA.empty_table()]
    names = ("key", "status", "finished_at", *(name for pair in OUTPUT_COLUMNS for name in pair))
    for number, table in enumerate(parts.read(range(len(parts.keys)), names)):
        tables.append(_places(table, number, OUTPUT_COLUMNS))
        removed.append(removed_files(table))
        results.append(result_places(table, number))
    return split_delivered(pa.concat_tables(tables), pa.concat_tables(results), removed)


def not_in_use(parts: LedgerParts, keys: Iterable[str]) -> list[str]:
    """Those of the keys, in their order, that are not a file of a current result.

    Names that the store treats as the same (`Store.comparable`) are one file. Raises as `LedgerParts.read`.
    """
    return without_current(parts.out, keys, delivered_objects(parts).current)


def without_current(out: Store, keys: Iterable[str], current: pa.Table) -> list[str]:
    """Like `not_in_use`, if `Delivered.current` is already known."""
    by_key = {key: out.comparable(key) for key in keys}
    wanted = set(by_key.values())
    batches = current["key"].combine_chunks().to_pylist() if wanted else ()
    used = {name for key in batches if (name := out.comparable(key)) in wanted}
    return [key for key, name in by_key.items() if name not in used]


def result_places(table: pa.Table, number: int) -> pa.Table:
    """The result that each row is about, and the row's place, for `split_delivered`.

    Args:
        table: the rows of a ledger part, with `key`, `status` and `finished_at`.
        number: of the part.
    """
    finished_at = table["finished_at"].cast(pa.int64())
    place = pa.array(_place(number, np.arange(table.num_rows)))
    columns = [table["key"].cast(pa.large_string()), table["status"], finished_at, place]
    return pa.table(columns, schema=RESULTS_SCHEMA)


def split_delivered(files: pa.Table, results: pa.Table, removed: Sequence[pa.Table]) -> DeliveredFiles:
    """Split all files that coloured rows name into current and superseded ones.

    Args:
        files: `key`, `finished_at` in microseconds, `part` and `row`, in the order of the parts; all columns
            stay.
        results: from `result_places`, all of them in this order.
        removed: of `removed_files`.
    """
    stand = current_results(results)["place"].combine_chunks()
    places = pa.array(_place(files["part"].to_numpy(), files["row"].to_numpy()))
    of_standing = files.filter(pc.is_in(places, value_set=stand))
    current = without_removed(newest_of_all_jobs(of_standing, ["key"]), removed)
    rejected = [table.filter(table["rejected"]) for table in removed]
    every = without_removed(newest_of_all_jobs(files, ["key"]), rejected)
    named = pc.is_in(every["key"], value_set=of_standing["key"].combine_chunks())
    return DeliveredFiles(current.sort_by(_IN_PLACE), every.filter(pc.invert(named)).sort_by(_IN_PLACE))


def _place(part: Any, row: Any) -> NDArray[np.int64]:
    return np.asarray(part, np.int64) * 2**32 + np.asarray(row, np.int64)


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


def _places(table: pa.Table, number: int, columns: Sequence[tuple[str, str]]) -> pa.Table:
    """The places of rows that name a file in these columns; for outputs, only coloured rows."""
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
