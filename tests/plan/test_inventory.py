"""An S3 Inventory gives the objects that a listing would, in all three formats, or one line on an error."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import resource
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import orc

from pipeline.config.job import JobConfig, PlanConfig
from pipeline.errors import ConfigError
from pipeline.plan import inventory
from pipeline.plan.inventory import inventory_objects
from pipeline.plan.plan import make_plan
from pipeline.storage import ObjectInfo, open_store
from tests.support.inventories import FORMATS, LISTED, NO, ROWS, encoded, listed, table, write


@pytest.mark.parametrize("data", ["../data", "."])
@pytest.mark.parametrize("format_", FORMATS)
def test_the_current_objects_below_the_prefix_in_order(tmp_path, format_, data):
    uri = write(tmp_path, format_, table(ROWS[:4]), table(ROWS[4:]), data=data)
    assert listed(uri) == LISTED
    assert [info.key for info in listed(uri, "s3://archive")][-1] == "photosother/x.tif"
    assert listed(uri, "s3://archive/nothing") == []


def test_keys_of_csv_are_decoded_however_spaces_are_written(tmp_path):
    def spaces(key: str) -> str:
        return quote(key, safe="")

    assert encoded(table(ROWS), "CSV", spaces) != encoded(table(ROWS), "CSV")
    uri = write(tmp_path, "CSV", table(ROWS))
    path = tmp_path / "data/0.csv"
    path.write_bytes(encoded(table(ROWS), "CSV", spaces))
    manifest = json.loads(Path(uri).read_text())
    manifest["files"][0]["MD5checksum"] = hashlib.md5(path.read_bytes()).hexdigest()
    Path(uri).write_text(json.dumps(manifest))
    assert listed(uri) == LISTED


@pytest.mark.parametrize("format_", FORMATS)
def test_an_inventory_of_current_versions_alone_needs_few_fields(tmp_path, format_):
    current = table([row for row in ROWS if row[1] and not row[2]])
    uri = write(tmp_path, format_, current.select(["bucket", "key", "size", "e_tag"]))
    assert [info[:3] for info in listed(uri)] == [info[:3] for info in LISTED]
    uri = write(tmp_path, format_, current.select(["bucket", "key", "size"]))
    with pytest.raises(ConfigError, match="no field 'etag': add Size and ETag"):
        listed(uri)


def bomb(format_: str) -> bytes:
    """A small file that takes over a gigabyte unpacked: one value, many times."""
    buffer = io.BytesIO()
    if format_ == "CSV":
        return gzip.compress(b'"archive","photos/a.tif","1","e"\n' * 6_000_000, 1)
    rows = 1_000 if format_ == "ORC" else 20_000
    keys = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), ["photos/" + "a" * 100_000])
    ones = {"bucket": ["archive"] * rows, "size": [1] * rows, "e_tag": ["e"] * rows}
    if format_ == "Parquet":
        pq.write_table(pa.table(ones | {"key": keys}), buffer, store_schema=False)
        return buffer.getvalue()
    with orc.ORCWriter(buffer, compression="zstd", dictionary_key_size_threshold=1.0) as writer:
        for _ in range(14):
            writer.write(pa.table(ones | {"key": keys.cast(pa.string())}))
    return buffer.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("format_", FORMATS)
def test_a_file_that_unpacks_to_more_than_memory_is_one_line(tmp_path, format_, monkeypatch):
    monkeypatch.setattr(inventory, "MOST_BYTES", 2**29)
    data = bomb(format_)
    assert len(data) < 2 * 2**20
    uri = write(tmp_path, format_, table(ROWS).select(["bucket", "key", "size", "e_tag"]))
    (path,) = (tmp_path / "data").iterdir()
    path.write_bytes(data)
    manifest = json.loads(Path(uri).read_text())
    manifest["files"][0]["MD5checksum"] = hashlib.md5(data).hexdigest()
    Path(uri).write_text(json.dumps(manifest))
    limit = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(ConfigError) as raised:
        listed(uri)
    assert str(raised.value).endswith(
        f"0.{format_.lower()}: it needs over 536,870,912 bytes of memory when unpacked"
    )
    assert resource.getrlimit(resource.RLIMIT_AS) == limit


def test_a_key_in_several_files_counts_once_as_it_was_last(tmp_path):
    rows = [("photos/a.tif", True, False, size, f"e{size}", "STANDARD", None) for size in (1, 2)]
    assert listed(write(tmp_path, "Parquet", table(rows))) == [ObjectInfo("a.tif", "e2", 2, False)]


def test_a_plan_of_an_inventory_asks_the_bucket_for_nothing(tmp_path):
    """No server is there to answer."""
    current = [row for row in ROWS if row[0] not in ("photos/b.tif", "photos/t.tif")]
    uri = write(tmp_path, "ORC", table(current))
    config = JobConfig(plan=PlanConfig(inventory=uri, exclude=("f.tif",)))
    out = open_store(str(tmp_path / "out"), NO)
    plan = make_plan(open_store("s3://archive/photos", NO), out, config, "d", workers=1)
    assert [item.key for shard in plan.shards for item in shard.items] == ["a b+c/é 100%.tif", "z.tif"]
    assert (plan.items_listed, plan.excluded) == (2, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sourceBucket": "another"}, "lists the bucket another, but the input is s3://archive/photos"),
        ({"fileFormat": "Avro"}, "files in the format 'Avro', not CSV, ORC, Parquet"),
        (
            {"files": [{"key": "x/0.parquet", "size": 1, "MD5checksum": "0" * 32}]},
            "differs from the one that .* names",
        ),
        (
            {"files": [{"key": "x/9.parquet", "size": 1, "MD5checksum": "0" * 32}]},
            "x/9.parquet, which does not exist",
        ),
        ({"files": [{"size": 1}]}, "its files lack key or MD5checksum"),
        ({"fileFormat": "ORC"}, "cannot read the inventory file"),
        ({"files": 5}, "is not the manifest of an S3 Inventory"),
        ({"files": None}, "is not the manifest of an S3 Inventory"),
        ({"files": [{"key": "x/..", "MD5checksum": "0" * 32}]}, "which does not exist"),
        ({"files": [{"key": "../../etc/passwd", "MD5checksum": "0" * 32}]}, "which does not exist"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path, change, message):
    uri = write(tmp_path, "Parquet", table(ROWS), **change)
    with pytest.raises(ConfigError, match=message) as error:
        listed(uri)
    assert "\n" not in str(error.value)


ROW = b'"archive","photos/a.tif","1","e"\n'
FIELDS = "Bucket, Key, Size, ETag"
OBJECT = {"bucket": ["archive"], "key": ["photos/a.tif"], "size": [1], "e_tag": ["e"]}


@pytest.mark.parametrize(
    ("data", "fields", "message"),
    [
        (ROW, FIELDS, "Not a gzipped file"),
        (gzip.compress(100 * ROW, mtime=0)[:-9], FIELDS, "ended before"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\3" + b"\xff" * 50, FIELDS, "while decompressing"),
        (gzip.compress(b"\0" * 2**16, mtime=0), FIELDS, "it has over 10,000 bytes when unpacked"),
        (gzip.compress(ROW.replace(b'"1"', b'"many"'), mtime=0), FIELDS, "Failed to parse string: 'many'"),
        (gzip.compress(ROW.replace(b'"1"', b'"-5"'), mtime=0), FIELDS, "an object has a negative size"),
        (gzip.compress(ROW.replace(b'"1"', b'""'), mtime=0), FIELDS, "an object has no size"),
        (gzip.compress(ROW.replace(b'"e"', b'""'), mtime=0), FIELDS, "an object has no etag"),
        (gzip.compress(ROW.replace(b"a.tif", b"%ff"), mtime=0), FIELDS, "can't decode byte"),
        (gzip.compress(ROW, mtime=0), "Key, Key, Key, Key", "exists 4 times"),
        (gzip.compress(ROW, mtime=0), "Bucket, Name, Size, ETag", "'Key' is not in list"),
    ],
)
def test_a_csv_file_that_says_nothing_sensible_is_one_line(tmp_path, monkeypatch, data, fields, message):
    monkeypatch.setattr("pipeline.plan.inventory._MOST_BYTES", 10_000)
    uri = write(tmp_path, "CSV", table(ROWS), fileSchema=fields)
    assert_one_line(uri, data, message)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"bucket": [1]}, "no kernel matching"),
        ({"key": [["photos/a.tif"]]}, "no kernel matching"),
        ({"size": ["many"]}, "Failed to parse string"),
        ({"size": pa.array([None], pa.int64())}, "an object has no size"),
        ({"e_tag": pa.array([None], pa.string())}, "an object has no etag"),
        ({"storage_class": [7]}, "doesn't match type"),
        ({"is_latest": [[1]]}, "Unsupported cast"),
    ],
)
def test_columns_of_other_types_are_one_line(tmp_path, columns, message):
    uri = write(tmp_path, "Parquet", table(ROWS))
    assert_one_line(uri, encoded(pa.table(OBJECT | columns), "Parquet"), message)


def assert_one_line(uri: str, data: bytes, message: str) -> None:
    """Where the inventory's one file holds this, with the right MD5."""
    manifest = json.loads(Path(uri).read_text())
    (file,) = manifest["files"]
    (Path(uri).parent / "../data" / file["key"].rpartition("/")[2]).write_bytes(data)
    file["MD5checksum"] = hashlib.md5(data).hexdigest()
    Path(uri).write_text(json.dumps(manifest))
    with pytest.raises(ConfigError, match=message) as error:
        listed(uri)
    assert "\n" not in str(error.value)


def test_what_is_no_manifest_is_one_line(tmp_path):
    uri = write(tmp_path, "Parquet", table(ROWS))
    with pytest.raises(ConfigError, match="inventory lists a bucket, but the input"):
        listed(uri, str(tmp_path))
    with pytest.raises(ConfigError, match="of buckets other than archive"):
        listed(write(tmp_path, "Parquet", table(ROWS, "another")))
    Path(uri).write_text("[]")
    with pytest.raises(ConfigError, match="is not the manifest of an S3 Inventory"):
        listed(uri)
    for text in ("{", "[" * 100_000):
        Path(uri).write_text(text)
        with pytest.raises(ConfigError, match="it is not JSON"):
            listed(uri)
    with pytest.raises(ConfigError, match="give the URI of its manifest"):
        listed(str(tmp_path / "nowhere.json"))


@pytest.mark.s3
def test_an_inventory_in_a_bucket(s3_moto, tmp_path):
    reports = s3_moto.bucket()
    write(tmp_path, "Parquet", table(ROWS))
    for path in tmp_path.rglob("*.*"):
        name = f"inv/archive/all/{path.relative_to(tmp_path)}"
        s3_moto.client.put_object(Bucket=reports, Key=name, Body=path.read_bytes())
    config = s3_moto.storage_config
    source = open_store("s3://archive/photos", config)
    uri = f"s3://{reports}/inv/archive/all/2026-01-01T01-00Z/manifest.json"
    assert list(inventory_objects(uri, source, config)) == LISTED
