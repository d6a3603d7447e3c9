"""Read an S3 Inventory instead of listing: ten million objects without ten thousand requests.

S3 writes an inventory daily or weekly: data files in CSV (gzip), ORC or Parquet, and a `manifest.json` that
names them with their sizes and MD5s (Amazon S3 User Guide, "Cataloging and analyzing your data with S3
Inventory" and "Locating your inventory list"). Changes and deletions after the inventory was written are
noticed when a source is fetched, and become rows `source_changed` or `source_missing`. New objects are
coloured after the next inventory.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pc_csv
import pyarrow.parquet as pq
from pyarrow import orc

from pipeline.config.storage import StorageConfig
from pipeline.errors import BadKey, ConfigError, ObjectMissing
from pipeline.storage import ObjectInfo, Store, open_store
from pipeline.storage.s3_listing import ARCHIVE_CLASSES
from pipeline.storage.unpacking import MOST_BYTES, at_most
from pipeline.storage.uri import BucketLocation, parse_uri

_ROWS = 2**16
#: Most bytes of an unpacked data file; S3 starts a new file long before that.
_MOST_BYTES = 2 * 2**30
_FORMATS = ("CSV", "ORC", "Parquet")
#: Field names in lower case without "_", because the formats write them differently: ETag, e_tag.
_NEEDED = ("bucket", "key", "size", "etag")
_MORE = ("islatest", "isdeletemarker", "lastmodifieddate", "storageclass", "intelligenttieringaccesstier")
_ARCHIVE_TIERS = pa.array(["ARCHIVE", "DEEP_ARCHIVE"])
_SCHEMA = pa.schema(
    [
        ("key", pa.large_string()),
        ("etag", pa.large_string()),
        ("bytes", pa.int64()),
        ("archived", pa.bool_()),
        ("modified", pa.large_string()),
    ]
)


class _Inventory(NamedTuple):
    uri: str
    store: Store  # of the data files
    manifest: dict[str, Any]


def inventory_objects(uri: str, source: Store, storage: StorageConfig) -> Iterator[ObjectInfo]:
    """The current objects of the source according to the inventory, in key order, each once.

    Args:
        uri: of the manifest, `s3://BUCKET/PREFIX/SOURCE/ID/TIME/manifest.json`. In a folder the data files
            are beside it, or in `../data`.

    Raises:
        ConfigError: it is not a manifest, it describes another bucket than the source's, it lacks a field, or
            a data file differs from the one that it names. StorageError: the store fails.
    """
    inventory = _open(uri, storage)
    bucket, prefix = _place(uri, source, inventory.manifest)
    tables = [_SCHEMA.empty_table()]
    for file in inventory.manifest["files"]:
        tables.append(_read(inventory, file, bucket, prefix))
    table = pa.concat_tables(tables).combine_chunks()
    tables.clear()
    order = pc.sort_indices(table, sort_keys=[("key", "ascending"), ("modified", "descending")])
    before = None
    for start in range(0, len(order), _ROWS):
        rows = table.select(["key", "etag", "bytes", "archived"]).take(order.slice(start, _ROWS))
        for key, etag, size, archived in zip(*(column.to_pylist() for column in rows.columns), strict=True):
            if key != before:  # in several files: use the last modified one
                yield ObjectInfo(key, etag, size, archived)
            before = key


def _open(uri: str, storage: StorageConfig) -> _Inventory:
    folder, _, name = uri.rpartition("/")
    try:
        place = open_store(folder or ("/" if uri.startswith("/") else "."), storage)
        manifest = json.loads(place.get(name).data)
    except ObjectMissing as error:
        raise ConfigError(
            f"cannot read the inventory {uri}: {error}; give the URI of its manifest.json"
        ) from None
    except (ValueError, RecursionError):
        raise ConfigError(f"{uri} is not the manifest of an S3 Inventory: it is not JSON") from None
    if not isinstance(manifest, dict) or not {"sourceBucket", "fileFormat", "fileSchema", "files"} <= {
        *manifest
    }:
        raise ConfigError(
            f"{uri} is not the manifest of an S3 Inventory: it lacks sourceBucket, fileFormat or files"
        )
    files = manifest["files"]
    if not isinstance(files, list) or not all(
        isinstance(file, dict) and {"key", "MD5checksum"} <= {*file} for file in files
    ):
        raise ConfigError(f"{uri} is not the manifest of an S3 Inventory: its files lack key or MD5checksum")
    if manifest["fileFormat"] not in _FORMATS:
        raise ConfigError(
            f"{uri} has files in the format {manifest['fileFormat']!r}, not {', '.join(_FORMATS)}"
        )
    location = parse_uri(folder or ".")
    data = open_store(location.root, storage) if isinstance(location, BucketLocation) else place
    return _Inventory(uri, data, manifest)


def _place(uri: str, source: Store, manifest: dict[str, Any]) -> tuple[str, str]:
    """The bucket and prefix of the source; checks that the inventory lists this bucket."""
    location, of = parse_uri(source.uri), str(manifest["sourceBucket"]).rpartition(":")[2]
    if not isinstance(location, BucketLocation):
        raise ConfigError(f"plan.inventory lists a bucket, but the input {source.uri} is a folder")
    if location.scheme != "s3":
        raise ConfigError(f"plan.inventory works only with S3, but the input is {source.uri}")
    if location.bucket != of:
        raise ConfigError(f"the inventory {uri} lists the bucket {of}, but the input is {source.uri}")
    return location.bucket, f"{location.prefix}/" if location.prefix else ""


def _read(inventory: _Inventory, file: dict[str, Any], bucket: str, prefix: str) -> pa.Table:
    """_SCHEMA: what a data file says of the current objects below the prefix."""
    data = _data(inventory, str(file["key"]))
    if hashlib.md5(data, usedforsecurity=False).hexdigest() != str(file["MD5checksum"]).lower():
        raise ConfigError(
            f"the inventory file {file['key']} differs from the one that {inventory.uri} names (MD5); "
            "use another inventory"
        )
    try:
        with at_most(MOST_BYTES):
            table = _with_fields(inventory, _parse(data, inventory.manifest))
            return _current(table, bucket, prefix, inventory.uri)
    except (pa.ArrowException, OSError, ValueError, KeyError, EOFError, zlib.error) as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(f"cannot read the inventory file {file['key']}: {reason}") from None


def _with_fields(inventory: _Inventory, table: pa.Table) -> pa.Table:
    """The columns of _NEEDED and, where the table has them, _MORE."""
    table = table.rename_columns([_field(name) for name in table.column_names])
    if missing := [name for name in _NEEDED if name not in table.column_names]:
        raise ConfigError(
            f"the inventory {inventory.uri} has no field {missing[0]!r}: add Size and ETag to its fields, "
            "and use the next one"
        )
    return table.select([name for name in (*_NEEDED, *_MORE) if name in table.column_names])


def _data(inventory: _Inventory, key: str) -> bytes:
    name = key.rpartition("/")[2]
    is_bucket = isinstance(parse_uri(inventory.store.uri), BucketLocation)
    parent = inventory.store.uri.rpartition("/")[0]
    places = [(inventory.store, key)] if is_bucket else [(inventory.store, name)]
    if not is_bucket:
        places.append((open_store(f"{parent}/data", StorageConfig()), name))
    for store, place in places:
        try:
            return store.get(place).data
        except (ObjectMissing, BadKey):
            continue
    raise ConfigError(f"the inventory {inventory.uri} names the file {key}, which does not exist")


def _parse(data: bytes, manifest: dict[str, Any]) -> pa.Table:
    if manifest["fileFormat"] == "ORC":
        return orc.ORCFile(io.BytesIO(data)).read()
    if manifest["fileFormat"] == "Parquet":
        return pq.ParquetFile(io.BytesIO(data)).read(use_threads=False)
    with gzip.open(io.BytesIO(data)) as file:
        if len(text := file.read(_MOST_BYTES + 1)) > _MOST_BYTES:
            raise ValueError(f"it has over {_MOST_BYTES:,} bytes when unpacked")
    names = [name.strip() for name in str(manifest["fileSchema"]).split(",")]
    table = pc_csv.read_csv(
        io.BytesIO(text),
        read_options=pc_csv.ReadOptions(column_names=names, use_threads=False),
        parse_options=pc_csv.ParseOptions(newlines_in_values=True),
        convert_options=pc_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
    )
    at = names.index("Key")
    keys = pa.array([unquote_plus(key, errors="strict") for key in table["Key"].to_pylist()], pa.string())
    return table.set_column(at, "Key", keys)


def _field(name: str) -> str:
    return name.replace("_", "").lower()


def _current(table: pa.Table, bucket: str, prefix: str, uri: str) -> pa.Table:
    """_SCHEMA: the objects below the prefix, keys relative to it, in their latest existing versions."""
    if table.num_rows and not pc.all(pc.equal(table["bucket"], bucket)).as_py():
        raise ConfigError(f"the inventory {uri} lists objects of buckets other than {bucket}")
    keep = pc.and_(pc.starts_with(table["key"], prefix), pc.not_equal(table["key"], prefix))
    for name, wanted in (("islatest", "true"), ("isdeletemarker", "false")):
        if name in table.column_names:
            keep = pc.and_(keep, pc.equal(pc.utf8_lower(table[name].cast(pa.string())), wanted))
    table = table.filter(keep)
    for name in ("size", "etag"):
        if pc.any(pc.fill_null(pc.equal(table[name].cast(pa.string()), ""), True)).as_py():
            raise ValueError(f"an object has no {name}")
    archived = pa.chunked_array([pa.array([False] * table.num_rows, pa.bool_())])
    for name, classes in (
        ("storageclass", pa.array(sorted(ARCHIVE_CLASSES))),
        ("intelligenttieringaccesstier", _ARCHIVE_TIERS),
    ):
        if name in table.column_names:
            archived = pc.or_(archived, pc.is_in(table[name], value_set=classes))
    nulls = pa.nulls(table.num_rows, pa.large_string())
    columns = [
        pc.utf8_slice_codeunits(table["key"], len(prefix)).cast(pa.large_string()),
        pc.utf8_trim(table["etag"], '"').cast(pa.large_string()),
        table["size"].cast(pa.int64()),
        archived,
        table["lastmodifieddate"].cast(pa.large_string())
        if "lastmodifieddate" in table.column_names
        else nulls,
    ]
    if pc.any(pc.less(columns[2], 0)).as_py():
        raise ValueError("an object has a negative size")
    return pa.table(columns, schema=_SCHEMA)
