"""Training rows in a store: their columns, the files `photos-*.parquet` that hold them, reading by ranges."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import ConfigError, ObjectDamaged
from pipeline.storage import ObjectInfo, Store
from pipeline.storage.ranges import RangedObject

SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("source", pa.string()),
        ("label", pa.string()),
        ("licence", pa.string()),
        ("split", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("mean_chroma", pa.float32()),
        ("mean_a", pa.float32()),
        ("mean_b", pa.float32()),
        ("phash", pa.binary(16)),
        ("sha256", pa.string()),
        ("image", pa.binary()),
    ]
)
"""One row per photograph. `image` is a JPEG, `split` "train" or "val", chroma and mean ab are Lab units,
`phash` the 128-bit difference hash, `sha256` that of the source file; `label` and `licence` are
"" where unknown."""

_PART = "photos-{:05d}.parquet"
_FOOTERS_KEPT = 1000
_TRIES = 3
_MOST_OF_A_REASON = 200
_footers: dict[tuple[str, ObjectInfo], pq.FileMetaData] = {}


def write_part(target: Store, number: int, rows: list[dict[str, object]], group_images: int) -> None:
    """Write rows of SCHEMA as the part `number`, in row groups of `group_images`."""
    buffer = io.BytesIO()
    table = pa.Table.from_pylist(rows, SCHEMA)
    pq.write_table(table, buffer, compression="zstd", row_group_size=group_images, write_page_checksum=True)
    target.put(_PART.format(number), buffer.getvalue())


def list_parts(store: Store) -> tuple[ObjectInfo, ...]:
    """The parts, in order. Raises ConfigError where there is none."""
    parts = tuple(info for info in store.list("photos-") if info.key.endswith(".parquet"))
    if not parts:
        raise ConfigError(f"{store.uri} holds no photos-*.parquet; make them with jobs/prepare_photos.py")
    return parts


def remove_later_parts(store: Store, parts: int) -> None:
    """Delete all parts except the first `parts`; an earlier preparation left them."""
    current = {_PART.format(number) for number in range(parts)}
    for info in list(store.list("photos-")):
        if info.key.endswith(".parquet") and info.key not in current:
            store.delete(info.key)


def open_part(store: Store, part: ObjectInfo) -> pq.ParquetFile:
    """A part whose columns and row groups are read by ranges; its footer is read once per process.

    Raises ConfigError where it is no Parquet file, also when it is read again.
    """
    for tried in range(_TRIES):
        file = pa.PythonFile(RangedObject(store, part), mode="r")
        try:
            footer = _footer(store.uri, part, file)
            return pq.ParquetFile(file, metadata=footer, pre_buffer=True, page_checksum_verification=True)
        except pa.ArrowInvalid as error:
            if tried + 1 == _TRIES:
                raise ConfigError(f"{store.uri}/{part.key} is not a Parquet file: {error}") from None
    raise AssertionError


def read_part(store: Store, part: ObjectInfo, read: Callable[[pq.ParquetFile], pa.Table]) -> pa.Table:
    """What `read` reads from a part, retried if the bytes are not those written: a range of an object has no
    checksum, but Parquet pages do.

    Raises:
        ObjectDamaged: it is other bytes each time. Others as `open_part` and the store.
    """
    for _ in range(_TRIES):
        try:
            return read(open_part(store, part))
        except (pa.ArrowException, OSError) as error:
            reason = " ".join(str(error).split())[:_MOST_OF_A_REASON]
            _footers.pop((store.uri, part), None)
    raise ObjectDamaged(
        f"{store.uri}/{part.key} is damaged in the store or on the way from it: {reason}; it was read "
        f"{_TRIES} times; restore it from a backup, or prepare it again with jobs/prepare_photos.py"
    )


def read_parts(store: Store, parts: Sequence[ObjectInfo], columns: Sequence[str]) -> pa.Table:
    """Some columns of all rows of at least one part, in order. Raises as `read_part`."""
    return pa.concat_tables(
        read_part(store, part, lambda file: file.read(columns=list(columns))) for part in parts
    )


def _footer(uri: str, part: ObjectInfo, file: pa.PythonFile) -> pq.FileMetaData:
    slot = (uri, part)
    if slot not in _footers:
        if len(_footers) >= _FOOTERS_KEPT:
            _footers.clear()
        _footers[slot] = pq.read_metadata(file)
    return _footers[slot]
