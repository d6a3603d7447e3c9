"""Read the guides file (Parquet, CSV or JSON Lines, one row per image) into rows of plain values."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.config.storage import StorageConfig
from pipeline.errors import ConfigError, ObjectMissing
from pipeline.guides.guide import Point, parse_points
from pipeline.storage import Store, open_store

COLUMNS = ("key", "scribbles", "points", "reference", "style", "picture", "method")
_FORMATS = ".parquet, .csv, .jsonl or .ndjson"


_Record = tuple[str, dict[str, Any] | str]


@dataclass(frozen=True)
class Row:
    """One image's row; `where` says which, for messages. Absent and empty values are None."""

    where: str
    key: str
    scribbles: str | None = None
    points: tuple[Point, ...] = ()
    reference: str | None = None
    style: str | None = None
    picture: str | None = None
    method: str | None = None


@dataclass(frozen=True)
class Table:
    """The rows that could be read, by source key, and a line for each that could not.

    `folder` is where relative keys start: the folder of the file.
    """

    folder: Store
    rows: dict[str, Row]
    problems: tuple[str, ...]


def read_table(uri: str, storage: StorageConfig) -> Table:
    """Read a guides file; return problems with single rows instead of raising them.

    Raises:
        ConfigError: it does not exist, has an unknown format, is damaged, or has columns other than COLUMNS.
        StorageError: the store fails.
    """
    folder, name = split_uri(uri)
    store = open_store(folder, storage)
    if not name:
        raise ConfigError(f"the guides {uri!r} are not a file; give one that ends in {_FORMATS}")
    try:
        data = store.get(name).data
    except ObjectMissing as error:
        raise ConfigError(f"cannot read the guides: {error}") from None
    rows: dict[str, Row] = {}
    problems: list[str] = []
    for where, values in _records(data, uri):
        try:
            row = _row(where, values if isinstance(values, dict) else _refuse(values))
        except ValueError as error:
            problems.append(f"{where}: {error}")
            continue
        if row.key in rows:
            problems.append(f"{where}: the key {row.key!r} already has a row, {rows[row.key].where}")
        else:
            rows[row.key] = row
    return Table(store, rows, tuple(problems))


def split_uri(uri: str) -> tuple[str, str]:
    """An object's folder and its key in it, of a path or URI."""
    folder, _, name = uri.rpartition("/")
    return folder or ("/" if uri.startswith("/") else "."), name


def _refuse(problem: str) -> NoReturn:
    raise ValueError(problem)


def _records(data: bytes, uri: str) -> Iterator[_Record]:
    """Each record and its place in the file; for an invalid record, an error message instead."""
    suffix = uri.rpartition("/")[2].rpartition(".")[2].lower()
    read = {"parquet": _parquet, "csv": _csv, "jsonl": _json_lines, "ndjson": _json_lines}.get(suffix)
    if read is None:
        raise ConfigError(f"the guides {uri!r} have an unknown format; give a file that ends in {_FORMATS}")
    try:
        yield from read(data)
    except (pa.ArrowException, csv.Error, UnicodeDecodeError, ValueError, OSError) as error:
        raise ConfigError(f"the guides {uri} cannot be read: {' '.join(str(error).split())[:200]}") from None


def _parquet(data: bytes) -> Iterator[_Record]:
    table = pq.read_table(io.BytesIO(data))
    _check_columns(table.column_names)
    for number, values in enumerate(table.to_pylist(), 1):
        yield f"row {number}", values


def _csv(data: bytes) -> Iterator[_Record]:
    reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
    _check_columns(reader.fieldnames or [])
    for values in reader:
        where = f"line {reader.line_num}"
        ragged = None in values or None in values.values()
        yield (
            where,
            "its number of fields differs from the first line: quote commas" if ragged else values,
        )


def _json_lines(data: bytes) -> Iterator[_Record]:
    for number, line in enumerate(data.decode("utf-8-sig").split("\n"), 1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except json.JSONDecodeError as error:
            yield f"line {number}", f"it is not JSON ({error})"
            continue
        if not isinstance(values, dict):
            values = "it is not a JSON object"
        elif unknown := set(values) - set(COLUMNS):
            values = f"it has an unknown {sorted(unknown)[0]!r}; allowed: {', '.join(COLUMNS)}"
        yield f"line {number}", values


def _check_columns(names: Any) -> None:
    if "key" not in names:
        raise ValueError("it has no column 'key'")
    if unknown := [name for name in names if name not in COLUMNS]:
        raise ValueError(f"unknown column {unknown[0]!r}; allowed: {', '.join(COLUMNS)}")


def _row(where: str, values: dict[str, Any]) -> Row:
    """A checked row. Raises ValueError with what is wrong in it."""
    present = {name: value for name, value in values.items() if value not in (None, "", [])}
    texts = {name: value for name, value in present.items() if name != "points"}
    for name, value in texts.items():
        if not isinstance(value, str):
            raise ValueError(f"{name} is {value!r:.60}: give text")
    if "key" not in texts:
        raise ValueError("the key is missing")
    points = parse_points(present["points"]) if "points" in present else ()
    if len(texts) == 1 and not points:
        raise ValueError(f"the key {texts['key']!r} has no guide: give {', '.join(COLUMNS[1:])}")
    return Row(where, points=points, **texts)
