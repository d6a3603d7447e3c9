"""What the inputs of `prepare_photos.py` contain: image files with their manifest, rows of Parquet files."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.config.storage import StorageConfig
from pipeline.errors import ConfigError
from pipeline.photographs.settings import PrepareConfig
from pipeline.plan.patterns import Patterns
from pipeline.storage import ObjectInfo, Store, open_store
from pipeline.storage.unpacking import MOST_BYTES, TooMuchUnpacked, at_most

_SAID = ("source", "label", "licence")
"""Columns of a manifest and of Parquet inputs that describe a photograph."""

ROWS_AT_ONCE = 256
"""Rows of a Parquet input in memory at a time, besides the file itself."""


@dataclass(frozen=True)
class Candidate:
    """An encoded image that may become a training row: `data`, or where that is None `key` in `store`.

    `sha256`: the expected digest of its bytes, in hex; None: unknown.
    """

    store: Store
    input_name: str
    key: str
    source: str
    label: str
    licence: str = ""
    data: bytes | None = None
    sha256: str | None = None

    @property
    def name(self) -> str:
        """What messages and the row's `key` call it."""
        return f"{self.input_name}/{self.key}"

    def read(self) -> bytes:
        """The encoded bytes. Raises StorageError as the store does."""
        return self.store.get(self.key).data if self.data is None else self.data


Selector = Callable[[Store, ObjectInfo], bool]
"""Whether an object of an input is to be read."""


def everything(store: Store, info: ObjectInfo) -> bool:
    """Selects all objects."""
    return True


def objects(inputs: list[str], config: PrepareConfig) -> Iterator[tuple[Store, ObjectInfo]]:
    """Every object below `inputs` that `photos.exclude` keeps, in listing order. Raises as `candidates`."""
    patterns = Patterns((), config.photos.exclude)
    for uri in inputs:
        store = open_store(uri, config.storage)
        store.check_readable()
        yield from ((store, info) for info in store.list() if patterns.keep(info.key))


def candidates(
    inputs: list[str], config: PrepareConfig, manifest: str | None, selects: Selector = everything
) -> Iterator[Candidate]:
    """Every selected file below `inputs` but `photos.exclude`, in listing order; of Parquet files the rows.

    Source, label and licence of a file stand in `manifest` (default: the input's manifest.csv), else they are
    its first folder (or the input's name), its last folder, and none. Raises ConfigError for an input, a
    manifest or a Parquet file that cannot be used, StorageError as the stores do.
    """
    for uri in inputs:
        name = uri.rstrip("/").rsplit("/", 1)[-1]
        known = None
        for store, info in objects([uri], config):
            if known is None:
                known = _read_manifest(store, manifest, config.storage)
            if not selects(store, info):
                continue
            folders = info.key.split("/")[:-1]
            guess = (folders[0] if len(folders) > 1 else name, folders[-1] if folders else "", "")
            if info.key.lower().endswith(".parquet"):
                yield from _parquet_rows(store, name, info.key, folders[-1] if folders else name)
            else:
                yield Candidate(store, name, info.key, *known.get(info.key, guess))


def _parquet_rows(store: Store, name: str, key: str, source: str) -> Iterator[Candidate]:
    """Rows of the columns `key`, `image` (encoded bytes) and, where they are there, `label`, `source` and
    `licence`.

    A null image becomes empty and counts as unreadable.
    """
    place = f"{store.uri}/{key}"
    data = store.get(key).data
    try:
        with at_most(MOST_BYTES):
            file = pq.ParquetFile(io.BytesIO(data))
    except (pa.ArrowInvalid, TooMuchUnpacked) as error:
        raise ConfigError(f"{place} is not a Parquet file; exclude it with photos.exclude: {error}") from None
    schema = file.schema_arrow
    for column in ("key", "image"):
        if column not in schema.names:
            raise ConfigError(
                f"{place} has no column {column!r} (it has {', '.join(schema.names)}); photographs in "
                "Parquet need 'key' and 'image'; leave other files out with photos.exclude"
            )
    stored = schema.field("image").type
    if not (pa.types.is_binary(stored) or pa.types.is_large_binary(stored)):
        raise ConfigError(f"{place}: the column 'image' holds {stored}, not encoded images (binary)")
    columns = [column for column in ("key", "image", *_SAID) if column in schema.names]
    for rows in _batches(file, columns, place):
        for row in rows:
            told, label, licence = _said(row)
            image = row["image"] or b""
            yield Candidate(store, name, str(row["key"]), told or source, label, licence, image)


def _batches(file: pq.ParquetFile, columns: list[str], place: str) -> Iterator[list[dict[str, Any]]]:
    """The rows, ROWS_AT_ONCE at a time. Raises ConfigError for a file that is damaged or too large."""
    batches = file.iter_batches(ROWS_AT_ONCE, columns=columns, use_threads=False)
    while True:
        try:
            with at_most(MOST_BYTES):
                batch = next(batches, None)
                rows = None if batch is None else batch.to_pylist()
        except (pa.ArrowException, OSError, TooMuchUnpacked) as error:
            reason = " ".join(str(error).split())[:200]
            raise ConfigError(f"cannot read {place}; leave it out with photos.exclude: {reason}") from None
        if rows is None:
            return
        yield rows


def _said(row: Mapping[str, object]) -> tuple[str, str, str]:
    """Source, label and licence as a row of a manifest or of Parquet has them, "" where it says nothing."""
    source, label, licence = ("" if row.get(column) is None else str(row[column]) for column in _SAID)
    return source, label, licence


def _read_manifest(
    store: Store, manifest: str | None, storage: StorageConfig
) -> dict[str, tuple[str, str, str]]:
    """`file` to (source, label, licence); empty where the input has no manifest and none was named."""
    if manifest is not None:
        folder, _, name = manifest.rpartition("/")
        data = open_store(folder or ".", storage).get(name).data
    elif store.exists("manifest.csv"):
        data = store.get("manifest.csv").data
    else:
        return {}
    reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig")))
    if "file" not in (reader.fieldnames or []):
        raise ConfigError(f"{manifest or store.uri + '/manifest.csv'} has no column 'file'")
    return {row["file"]: _said(row) for row in reader}
