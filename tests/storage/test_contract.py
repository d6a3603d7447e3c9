"""What every store promises, tested with each of them: a local folder, moto's server, a Ceph object gateway,
fake-gcs-server for Google Cloud Storage, Azurite for Azure."""

from __future__ import annotations

import hashlib
import io
import pickle
import random
import uuid
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import AlreadyExists, BadKey, ConfigError, FiatColorError, ObjectChanged, ObjectMissing
from pipeline.storage import ObjectInfo, Store, check_key, open_store
from pipeline.storage.files import get_file
from pipeline.storage.ranges import RangedObject

#: In code point order; a folder sorts by its name with the slash, not by its name.
KEYS = [
    ".hidden",
    "A.jpg",
    "a",
    "a b+c%20&=?#.jpg",
    "a!/x",
    "a-b/deep/er/still/x.tif",
    "a.jpg",
    "a.jpg.d/z",
    "b/1",
    "b/10",
    "b/2",
    "b/c/d",
    "b0",
    "quote'\"\\back",
    "z<>|*:",
    "é/e\u0301",
    "日本/写真.jpg",
    "\ufb01.jpg",
    "🎞/film.jpg",
]


@pytest.fixture(params=["local", "moto", "ceph", "gcs", "azure"])
def store(request: pytest.FixtureRequest, tmp_path) -> Store:
    """An empty store of each kind, as a worker would get it: through pickle."""
    if request.param == "local":
        output = open_store(str(tmp_path / "root"), request.getfixturevalue("no_storage"))
    elif request.param in ("gcs", "azure"):
        server = request.getfixturevalue(f"cloud_{request.param}")
        output = open_store(f"{server.scheme}://{server.bucket()}/some/prefix/", server.storage_config)
    else:
        server = request.getfixturevalue(f"s3_{request.param}")
        output = open_store(f"s3://{server.bucket()}/some/prefix/", server.storage_config)
    return pickle.loads(pickle.dumps(output))


def keys(store: Store, prefix: str = "") -> list[str]:
    return [result.key for result in store.list(prefix)]


def test_listing_is_in_code_point_order_with_sizes_and_etags_that_get_accepts(store):
    wanted = _possible(store)
    for number, key in enumerate(wanted):
        store.put(key, b"x" * number)
    listed = list(store.list())
    assert [result.key for result in listed] == wanted == sorted(wanted)
    assert [result.bytes for result in listed] == list(range(len(wanted)))
    for result in listed:
        fetched = store.get(result.key, if_etag=result.etag)
        assert (len(fetched.data), fetched.etag) == (result.bytes, result.etag)


def test_a_line_break_in_a_key_is_kept_but_not_printed(s3_ceph, no_storage, tmp_path):
    # moto's server takes no control characters
    bucket = open_store(f"s3://{s3_ceph.bucket()}", s3_ceph.storage_config)
    for store in (bucket, open_store(str(tmp_path), no_storage)):
        store.put("line\nbreak", b"1")
        assert keys(store) == ["line\nbreak"]
        with pytest.raises(ObjectMissing) as told:
            store.get("another\nbreak")
        assert "\n" not in str(told.value)


def _possible(store: Store) -> list[str]:
    """KEYS, in Azure without those with a backslash, which the service takes for a slash."""
    return [key for key in KEYS if not store.uri.startswith("az:") or "\\" not in key]


def test_a_listing_prefix_is_a_prefix_of_the_key(store):
    for key in _possible(store):
        store.put(key, b"")
    for prefix in ("a", "a.", "b/", "b/1", "b/c/", "b/c/d", "nothing", "nothing/", "é/"):
        assert keys(store, prefix) == [key for key in KEYS if key.startswith(prefix)]


def test_an_empty_store_lists_nothing(store):
    assert keys(store) == keys(store, "ledger/") == []


def test_put_overwrites_and_changes_the_etag(store):
    store.put("a/b.jpg", b"first", "image/jpeg")
    (first,) = store.list()
    store.put("a/b.jpg", b"second")
    (second,) = store.list()
    assert first.etag != second.etag
    assert store.get("a/b.jpg").data == b"second"
    with pytest.raises(ObjectChanged, match=r"b\.jpg"):
        store.get("a/b.jpg", if_etag=first.etag)


def test_max_bytes_gives_the_beginning(store):
    store.put("ten", b"0123456789")
    store.put("none", b"")
    assert store.get("ten", max_bytes=4).data == b"0123"
    assert store.get("ten", max_bytes=40).data == b"0123456789"
    assert store.get("none", max_bytes=4).data == b""


def test_start_gives_what_follows(store):
    store.put("ten", b"0123456789")
    etag = store.get("ten").etag
    assert store.get("ten", start=7, if_etag=etag) == store.get("ten")._replace(data=b"789")
    assert store.get("ten", start=3, max_bytes=2).data == b"34"
    assert store.get("ten", start=8, max_bytes=40).data == b"89"
    assert store.get("ten", start=10) == store.get("ten")._replace(data=b"")


def test_a_table_is_read_by_its_parts(store):
    table = pa.table(
        {"number": list(range(1000)), "bulk": [bytes(1000) + bytes([i % 256]) for i in range(1000)]}
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer, row_group_size=100, compression="none")
    store.put("table.parquet", buffer.getvalue())
    (info,) = store.list()
    opened = RangedObject(store, info)
    file = pq.ParquetFile(pa.PythonFile(opened, "r"), pre_buffer=True)
    assert file.read_row_group(7).equals(table.slice(700, 100))
    assert opened.bytes_read < len(buffer.getvalue()) / 5
    store.put("table.parquet", b"changed")
    with pytest.raises(ObjectChanged):
        file.read_row_group(3)


@pytest.mark.parametrize("size", [0, 1000, 5000, 40 * 2**20 + 7])
def test_files_of_any_size_go_in_and_out(store, tmp_path, monkeypatch, size):
    if size == 5000:  # exactly so many parts
        monkeypatch.setattr("pipeline.storage.files._PART_BYTES", 1000)
    data = random.Random(size).randbytes(size)
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(data)
    store.put("a/big.tif", b"the one before")
    store.put_file("a/big.tif", source, "image/tiff")
    (info,) = store.list()
    assert info.bytes == size
    saved = get_file(store, "a/big.tif", target, if_etag=info.etag)
    assert target.read_bytes() == data
    assert (saved.etag, saved.sha256) == (info.etag, hashlib.sha256(data).hexdigest())
    assert saved.content_type in (None, "image/tiff")


def test_files_are_refused_and_missed_as_other_objects_are(store, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(b"1")
    with pytest.raises(BadKey):
        store.put_file("a//b", source)
    with pytest.raises(ObjectMissing):
        get_file(store, "nope", tmp_path / "target")
    store.put("a", b"1")
    (info,) = store.list()
    store.put("a", b"22")
    with pytest.raises(ObjectChanged):
        get_file(store, "a", tmp_path / "target", if_etag=info.etag)


@pytest.mark.parametrize("missing", ["nope", "a/nope", "a", "a/b.jpg/under-a-file"])
def test_missing_objects_are_missing(store, missing):
    store.put("a/b.jpg", b"1")
    assert not store.exists(missing)
    with pytest.raises(ObjectMissing):
        store.get(missing)
    store.delete(missing)
    assert keys(store) == ["a/b.jpg"]


def test_exists_and_delete(store):
    store.put("a/b.jpg", b"1")
    assert store.exists("a/b.jpg")
    store.delete("a/b.jpg")
    assert not store.exists("a/b.jpg")


def test_the_second_conditional_put_loses(store):
    store.put_if_absent("ledger/part", b"first")
    with pytest.raises(AlreadyExists):
        store.put_if_absent("ledger/part", b"second")
    assert store.get("ledger/part").data == b"first"
    assert keys(store) == ["ledger/part"]


def test_of_parallel_conditional_puts_exactly_one_wins(store):
    def attempt(text: bytes) -> bytes | None:
        try:
            store.put_if_absent(key, text)
        except AlreadyExists:
            return None
        return text

    for _ in range(3):
        key = f"ledger/{uuid.uuid4().hex}"
        with ThreadPoolExecutor(8) as pool:
            won = [
                text for text in pool.map(attempt, [f"attempt {i}".encode() * 500 for i in range(8)]) if text
            ]
        assert won == [store.get(key).data]


@pytest.mark.parametrize(
    "key", ["", "/a", "a//b", "../a", "a/../b", "a/.", "a\0b", "n" * 256, "k/" * 512 + "k", "\ud800"]
)
def test_keys_that_no_folder_or_bucket_can_hold_are_refused_by_both(store, key):
    with pytest.raises(BadKey):
        store.put(key, b"x")
    with pytest.raises(BadKey):
        store.put_if_absent(key, b"x")
    assert keys(store) == []


def test_checks_accept_a_good_store_and_leave_nothing_behind(store):
    store.check_writable()
    store.check_readable()
    assert keys(store) == []


@pytest.mark.parametrize("kind", ["local", "moto", "ceph", "gcs", "azure"])
def test_a_place_that_is_not_there_is_the_users_mistake(kind, request, no_storage, tmp_path):
    if kind == "local":
        store = open_store(str(tmp_path / "nowhere"), no_storage)
    else:
        server = request.getfixturevalue(f"{'s3' if kind in ('moto', 'ceph') else 'cloud'}_{kind}")
        scheme = getattr(server, "scheme", "s3")
        store = open_store(f"{scheme}://no-such-bucket/x", server.storage_config)
        with pytest.raises(ConfigError, match=r"no (bucket|container) 'no-such-bucket'"):
            store.check_writable()
    with pytest.raises(ConfigError, match=r"no (folder|bucket|container)") as told:
        store.check_readable()
    assert "\n" not in str(told.value)


def test_a_folder_marker_is_an_object(s3_moto, s3_ceph):
    for server in (s3_moto, s3_ceph):
        bucket = server.bucket()
        for key in ("in/", "in/sub/", "in/sub/a.jpg"):
            server.client.put_object(Bucket=bucket, Key=key, Body=b"" if key.endswith("/") else b"1")
        store = open_store(f"s3://{bucket}/in", server.storage_config)
        assert [(result.key, result.bytes) for result in store.list()] == [("sub/", 0), ("sub/a.jpg", 1)]


@pytest.fixture(scope="module")
def shared_bucket(s3_moto) -> str:
    return s3_moto.bucket()


segment = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/\0"), min_size=1, max_size=6
)
key_sets = st.sets(st.lists(segment, min_size=1, max_size=4).map("/".join), max_size=6)


def _storable(wanted: set[str]) -> list[str]:
    """Sorted; without bad keys and without keys that would be both a file and a folder."""
    good: list[str] = []
    for key in sorted(wanted):
        try:
            check_key(key)
        except FiatColorError:
            continue
        if not any(key.startswith(shorter + "/") for shorter in good):
            good.append(key)
    return good


@given(wanted=key_sets)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_folder_and_bucket_list_any_keys_alike(wanted, tmp_path, no_storage, s3_moto, shared_bucket):
    good = [key for key in _storable(wanted) if "\ufffd" not in key]
    folder = open_store(str(tmp_path / uuid.uuid4().hex), no_storage)
    bucket = open_store(f"s3://{shared_bucket}/{uuid.uuid4().hex}", s3_moto.storage_config)
    for key in good:
        folder.put(key, key.encode())
        bucket.put(key, key.encode())
    expected = [(key, len(key.encode())) for key in good]
    for store in (folder, bucket):
        assert [(result.key, result.bytes) for result in store.list()] == expected
        assert all(isinstance(result, ObjectInfo) for result in store.list())
