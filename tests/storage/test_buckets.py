"""Buckets that keep versions, lock objects or encrypt them with their own key, on a real server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.job import JobConfig
from pipeline.config.loading import load
from pipeline.config.storage import StorageConfig
from pipeline.errors import AlreadyExists, ConfigError, ObjectChanged, ObjectMissing
from pipeline.storage import open_store
from pipeline.storage.s3 import S3Store
from pipeline.storage.s3_versions import since_delete
from tests.support.ceph import KMS_KEY
from tests.support.servers import S3Server

pytestmark = pytest.mark.usefixtures("short_pauses")

LARGE = 33 * 2**20  # three parts


def versioned(server: S3Server, **options: bool) -> str:
    bucket = server.bucket(**options)
    if not options:
        server.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return bucket


@pytest.mark.parametrize("server", ["s3_ceph", "s3_moto"])
def test_a_versioned_bucket_shows_the_newest_version_and_what_was_deleted_is_gone(
    server: str, request: pytest.FixtureRequest
) -> None:
    s3 = request.getfixturevalue(server)
    bucket = versioned(s3)
    store = open_store(f"s3://{bucket}/out", s3.storage_config)
    for data in (b"first", b"second"):
        store.put("a", data)
    (listed,) = store.list()
    assert (listed.key, listed.bytes, store.get("a", if_etag=listed.etag).data) == ("a", 6, b"second")
    store.put("a", b"third")
    with pytest.raises(ObjectChanged):
        store.get("a", if_etag=listed.etag)
    with pytest.raises(AlreadyExists):
        store.put_if_absent("a", b"fourth")
    store.delete("a")
    assert (list(store.list()), store.exists("a")) == ([], False)
    with pytest.raises(ObjectMissing):
        store.get("a")
    store.put_if_absent("a", b"after a delete marker")
    assert store.get("a").data == b"after a delete marker"
    versions = s3.client.list_object_versions(Bucket=bucket)
    assert (len(versions["Versions"]), len(versions["DeleteMarkers"])) == (4, 1)


@pytest.mark.parametrize("server", ["s3_ceph", "s3_moto"])
def test_of_two_that_give_way_to_each_other_the_last_writes_again(
    server: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3 = request.getfixturevalue(server)
    bucket = versioned(s3)
    store = open_store(f"s3://{bucket}", s3.storage_config)

    def since_another(*asked: Any) -> Iterator[str]:
        yield from since_delete(*asked)
        monkeypatch.undo()
        yield "of one that has deleted itself since"

    monkeypatch.setattr("pipeline.storage.s3.since_delete", since_another)
    store.put_if_absent("part", b"mine")
    assert store.get("part").data == b"mine"
    assert len(s3.client.list_object_versions(Bucket=bucket)["Versions"]) == 1
    with pytest.raises(AlreadyExists):
        store.put_if_absent("part", b"another")


@pytest.mark.parametrize("server", ["s3_ceph", "s3_moto"])
def test_of_many_that_write_if_absent_one_wins_in_a_versioned_bucket(
    server: str, request: pytest.FixtureRequest
) -> None:
    s3 = request.getfixturevalue(server)
    store = open_store(f"s3://{versioned(s3)}", s3.storage_config)
    store.put_if_absent("part-longer", b"0")

    def attempt(number: int) -> int | None:
        try:
            store.put_if_absent("part", str(number).encode())
        except AlreadyExists:
            return None
        return number

    for _ in range(3):
        with ThreadPoolExecutor(8) as pool:
            (winner,) = [number for number in pool.map(attempt, range(8)) if number is not None]
        assert store.get("part").data == str(winner).encode()
        assert attempt(9) is None
        assert store.get("part").data == str(winner).encode()
        store.delete("part")


def test_a_bucket_that_locks_its_objects_takes_results_and_keeps_their_versions(
    s3_ceph: S3Server, tmp_path: Path
) -> None:
    bucket = versioned(s3_ceph, ObjectLockEnabledForBucket=True)
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    s3_ceph.client.put_object_lock_configuration(
        Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )
    store = open_store(f"s3://{bucket}", s3_ceph.storage_config)
    store.check_writable()
    large = tmp_path / "large"
    large.write_bytes(bytes(LARGE))
    store.put("images/a.jpg", b"a result")
    store.put_file("images/b.tif", large)
    store.put_if_absent("ledger/d/part-1.parquet", b"a part")
    store.put("images/a.jpg", b"a result")
    assert [info.bytes for info in store.list()] == [8, LARGE, 6]
    assert s3_ceph.client.head_object(Bucket=bucket, Key="images/a.jpg")["ObjectLockMode"] == "GOVERNANCE"
    store.delete("images/a.jpg")
    assert not store.exists("images/a.jpg")
    (first, _) = (
        version
        for version in s3_ceph.client.list_object_versions(Bucket=bucket)["Versions"]
        if version["Key"] == "images/a.jpg"
    )
    with pytest.raises(s3_ceph.client.exceptions.ClientError, match="AccessDenied"):
        s3_ceph.client.delete_object(Bucket=bucket, Key="images/a.jpg", VersionId=first["VersionId"])


def test_objects_are_encrypted_with_a_kms_key(s3_ceph: S3Server, tmp_path: Path) -> None:
    bucket, config = s3_ceph.bucket(), s3_ceph.storage_config
    config = config.model_copy(update={"encryption": "aws:kms", "kms_key": KMS_KEY})
    store = open_store(f"s3://{bucket}", config)
    store.check_writable()
    large = tmp_path / "large"
    large.write_bytes(bytes(LARGE))
    store.put("a", b"bytes")
    store.put_file("b", large)
    for info, size in zip(store.list(), (5, LARGE), strict=True):
        head = s3_ceph.client.head_object(Bucket=bucket, Key=info.key)
        assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", KMS_KEY)
        assert len(store.get(info.key, if_etag=info.etag).data) == size == info.bytes


@pytest.fixture
def listener(aws_credentials: None) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A server that takes everything, and the headers of what was put or begun there."""
    seen: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # else boto3 waits a second for an answer to `Expect: 100-continue`

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            seen.append({name.lower(): value for name, value in self.headers.items()})
            body = b"<R><UploadId>u</UploadId><ETag>e</ETag></R>" if self.command == "POST" else b""
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", '"e"')
            self.end_headers()
            self.wfile.write(body)

        do_PUT = do_POST = do_DELETE = answer

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", seen
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.server
@pytest.mark.parametrize("checksums", ["when_required", "when_supported"])
def test_what_every_upload_says(
    listener: tuple[str, list[dict[str, str]]], checksums: str, tmp_path: Path
) -> None:
    endpoint, seen = listener
    config = StorageConfig(
        endpoint=endpoint,
        region="us-east-1",
        addressing="path",
        retries=0,
        checksums=checksums,
        encryption="aws:kms",
        kms_key="alias/archive",
    )
    store, large = S3Store("b", "p", config), tmp_path / "large"
    large.write_bytes(bytes(LARGE))
    store.put("a", b"bytes")
    store.put_if_absent("a", b"bytes")
    store.put_file("b", large)
    begun = [headers for headers in seen if "x-amz-server-side-encryption" in headers]
    named = "x-amz-server-side-encryption-aws-kms-key-id"
    assert [(h["x-amz-server-side-encryption"], h[named]) for h in begun] == [
        ("aws:kms", "alias/archive")
    ] * 3
    puts = [headers for headers in seen if int(headers.get("content-length") or 0) >= 5]
    digests = ("content-md5", "x-amz-trailer", "x-amz-checksum-crc32")
    messages = [[name for name in digests if name in headers] for headers in puts]
    assert messages[:2] == [["x-amz-checksum-crc32"]] * 2
    parts = messages[2:5]
    assert parts == [["content-md5"]] * 3 if checksums == "when_required" else all(parts)


def test_a_key_without_kms_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match=r"kms_key needs encryption=aws:kms"):
        load(JobConfig, None, ["storage.kms_key=alias/archive"])
