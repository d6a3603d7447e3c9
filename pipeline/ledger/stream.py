"""Which ledger rows count, and these rows as a stream.

First pass: of every row its key, checksum, time and place, held as Arrow as in `pipeline.verify.expected`.
Second pass: the whole rows, some ledger parts at a time, never all of them in memory.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import ConfigError, StorageError
from pipeline.ledger.newest import latest
from pipeline.ledger.schema import LEDGER_SCHEMA, OUTPUTS
from pipeline.records import Status
from pipeline.storage import Store

#: A row by its place: `part` counts in `Parts.keys`, `row` in the part. `sha256`: hex, as the ledger has it.
PLACED_SCHEMA = pa.schema(
    [
        ("key", pa.large_string()),
        ("sha256", pa.string()),
        ("finished_at", pa.int64()),
        ("part", pa.int32()),
        ("row", pa.int32()),
    ]
)
_IN_PLACE = [("part", "ascending"), ("row", "ascending")]
_THREADS = 16


@dataclass(frozen=True)
class Parts:
    """The ledger parts of all job digests below OUT as they were listed once, in the order of their keys."""

    out: Store
    keys: tuple[str, ...]

    def read(self, numbers: Sequence[int]) -> Iterator[pa.Table]:
        """These parts in this order, each of LEDGER_SCHEMA; an older part has nulls for columns it lacks.

        Raises:
            StorageError: a part cannot be read; an export must not leave rows out in silence.
        """
        with ThreadPoolExecutor(_THREADS) as pool:
            for start in range(0, len(numbers), _THREADS):
                yield from pool.map(self._read, numbers[start : start + _THREADS])

    def _read(self, number: int) -> pa.Table:
        key = self.keys[number]
        data = self.out.get(key).data
        try:
            return pq.read_table(io.BytesIO(data), schema=LEDGER_SCHEMA)
        except (pa.ArrowException, OSError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            part = f"the ledger part {self.out.uri}/{key}"
            raise StorageError(f"{part} cannot be read ({reason}); restore it, then export again") from None


def list_parts(out: Store) -> Parts:
    """The ledger below OUT.

    Raises:
        ConfigError: there is none at all. StorageError: it cannot be listed.
    """
    keys = tuple(found.key for found in out.list("ledger/") if found.key.endswith(".parquet"))
    if not keys:
        raise ConfigError(f"there is no ledger below {out.uri}/ledger; give the --output of a colouring run")
    return Parts(out, keys)


def newest_images(parts: Parts) -> pa.Table:
    """PLACED_SCHEMA, one row a source image, by place: the row finished last says what became of it."""
    return _newest(parts, (("key", "source_sha256"),))


def newest_objects(parts: Parts) -> pa.Table:
    """PLACED_SCHEMA, one row a delivered object (key below OUT), by place.

    As in a verification: of several rows for one object the one finished last counts, and an image that was
    delivered stays so when a later run failed to colour its source again.
    """
    return _newest(parts, OUTPUTS)


def rows_at(parts: Parts, placed: pa.Table) -> Iterator[pa.Table]:
    """The rows at these places, part by part: LEDGER_SCHEMA, and the columns of `placed` as `at_<name>`.

    Args:
        placed: PLACED_SCHEMA and more, by place; a place may occur twice.
    """
    numbers, starts = np.unique(placed["part"].to_numpy(), return_index=True)
    stops = [*starts, placed.num_rows][1:]
    for table, start, stop in zip(parts.read(numbers.tolist()), starts, stops, strict=True):
        here = placed.slice(int(start), int(stop - start))
        rows = table.take(here["row"])
        for name in here.column_names:
            rows = rows.append_column(f"at_{name}", here[name])
        yield rows


def _newest(parts: Parts, columns: Sequence[tuple[str, str]]) -> pa.Table:
    tables = [PLACED_SCHEMA.empty_table()]
    for number, table in enumerate(parts.read(range(len(parts.keys)))):
        for key, sha256 in columns:
            tables.append(_placed(table, number, key, sha256))
    return latest(pa.concat_tables(tables)).sort_by(_IN_PLACE)


def _placed(table: pa.Table, number: int, key: str, sha256: str) -> pa.Table:
    count = table.num_rows
    columns = [
        table[key].cast(pa.large_string()),
        table[sha256],
        table["finished_at"].cast(pa.int64()),
        pa.array(np.full(count, number, np.int32)),
        pa.array(np.arange(count, dtype=np.int32)),
    ]
    placed = pa.table(columns, schema=PLACED_SCHEMA)
    named = pc.is_valid(placed["key"])
    if key != "key":
        named = pc.and_(named, pc.equal(table["status"], str(Status.COLORIZED)))
    return placed.filter(named)
