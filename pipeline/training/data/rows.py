"""The index of the training rows, without their images, and reading of single row groups."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.config.storage import StorageConfig
from pipeline.errors import ConfigError
from pipeline.photographs.rows import SCHEMA, list_parts, open_part, read_part
from pipeline.storage import ObjectInfo, Store, open_store

LIGHT = ("key", "source", "label", "split", "width", "height", "mean_a", "mean_b")
"""Columns that every worker holds of every row."""

I64 = NDArray[np.int64]


@dataclass(frozen=True)
class RowIndex:
    """Where the rows lie. `table`: columns LIGHT, `part`, `group` (in the part), `row` (in the group)."""

    store: Store
    parts: tuple[ObjectInfo, ...]
    table: pa.Table

    @property
    def bytes(self) -> int:
        """Size of all parts: about what the images take in memory."""
        return sum(part.bytes for part in self.parts)

    def of_split(self, split: str) -> RowIndex:
        """The rows of one split. Raises ConfigError where there are none."""
        table = self.table.filter(pa.compute.equal(self.table["split"], split))
        if not table.num_rows:
            raise ConfigError(f"{self.store.uri} holds no photographs of the split {split!r}")
        return RowIndex(self.store, self.parts, table)

    def held_out(self, sources: Sequence[str]) -> RowIndex:
        """The same rows, with all of `sources` in the split val, and of other sources only the split train.

        Raises ConfigError for a source that no row has.
        """
        if not sources:
            return self
        unknown = sorted(set(sources) - set(self.table["source"].to_pylist()))
        if unknown:
            raise ConfigError(f"data.hold_out names {unknown[0]!r}, which no photograph has as source")
        out = pa.compute.is_in(self.table["source"], pa.array(sources))
        kept = pa.compute.or_(out, pa.compute.equal(self.table["split"], "train"))
        split = pa.compute.if_else(out, "val", "train")
        place = self.table.schema.get_field_index("split")
        return RowIndex(self.store, self.parts, self.table.set_column(place, "split", split).filter(kept))

    def column(self, name: str) -> I64:
        """`part`, `group` or `row` as numbers."""
        return np.asarray(self.table[name], dtype=np.int64)

    def short_sides(self) -> I64:
        """Of the photographs, pixels, int64[rows]."""
        width, height = (np.asarray(self.table[name], dtype=np.int64) for name in ("width", "height"))
        return np.minimum(width, height)

    def group_numbers(self) -> I64:
        """One number per row group over all parts, int64[rows], from 0 without gaps."""
        pairs = self.column("part") << 32 | self.column("group")
        return np.asarray(np.unique(pairs, return_inverse=True)[1], dtype=np.int64)


def read_index(uri: str, storage: StorageConfig) -> RowIndex:
    """The index of the rows that prepare_photos wrote at `uri`; it reads no byte of the images.

    Raises ConfigError where there are no such files, or one has other columns than training rows have.
    """
    store = open_store(uri, storage)
    store.check_readable()
    parts = list_parts(store)
    with ThreadPoolExecutor(min(8, storage.pool)) as pool:
        tables = list(pool.map(functools.partial(_light_rows, store), range(len(parts)), parts))
    return RowIndex(store, parts, pa.concat_tables(tables))


def _light_rows(store: Store, number: int, part: ObjectInfo) -> pa.Table:
    file = open_part(store, part)
    _check_columns(f"{store.uri}/{part.key}", file.schema_arrow)
    sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
    table = read_part(store, part, lambda file: file.read(columns=list(LIGHT)))
    added = {
        "part": np.full(table.num_rows, number),
        "group": np.repeat(np.arange(len(sizes)), sizes),
        "row": np.array([row for size in sizes for row in range(size)]),
    }
    for name, values in added.items():
        table = table.append_column(name, pa.array(values, pa.int32()))
    return table


def _check_columns(place: str, schema: pa.Schema) -> None:
    for name in (*LIGHT, "image"):
        expected = SCHEMA.field(name).type
        if name not in schema.names:
            problem = f"has no column {name!r} (it has {', '.join(schema.names)})"
        elif schema.field(name).type != expected:
            problem = f"has the column {name!r} as {schema.field(name).type}, not {expected}"
        else:
            continue
        raise ConfigError(f"{place} {problem}; training rows are made with jobs/prepare_photos.py")


_PARALLEL_READS = 8


def read_images(
    store: Store, parts: Sequence[ObjectInfo], part: I64, group: I64, row: I64
) -> tuple[list[str], list[bytes]]:
    """Keys and encoded images of the rows at (part, group, row), in this order; each row group is read once.

    A null image is an empty one. Raises StorageError as the store does, ObjectChanged where a part is no
    longer what was listed.
    """
    places, place_of = np.unique(part << 32 | group, return_inverse=True)

    def read(number: int) -> dict[int, tuple[str, bytes]]:
        place = int(places[number])
        rows = np.unique(row[place_of == number])

        def group_of(file: pq.ParquetFile) -> pa.Table:
            return file.read_row_group(place & 0xFFFFFFFF, columns=["key", "image"])

        table = read_part(store, parts[place >> 32], group_of).take(rows)
        pairs = zip(table["key"].to_pylist(), table["image"].to_pylist(), strict=True)
        return dict(zip(rows.tolist(), pairs, strict=True))

    with ThreadPoolExecutor(_PARALLEL_READS) as pool:
        groups = list(pool.map(read, range(len(places))))
    pairs = [groups[number][r] for number, r in zip(place_of.tolist(), row.tolist(), strict=True)]
    return [key for key, _ in pairs], [image or b"" for _, image in pairs]
