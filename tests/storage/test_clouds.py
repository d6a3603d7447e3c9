"""What is specific to Google Cloud Storage and Azure. `test_contract.py` tests what all stores promise."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from pipeline.config.storage import StorageConfig
from pipeline.errors import (
    AlreadyExists,
    BadKey,
    ConfigError,
    CredentialsMissing,
    ObjectArchived,
    ObjectDamaged,
    RunError,
    StorageError,
)
from pipeline.storage import Store, bucket_store, open_store, refuse_overlap
from pipeline.storage.lease import hold_lease
from tests.support.clouds import CloudServer

pytestmark = pytest.mark.usefixtures("short_pauses")


@pytest.fixture(params=["gcs", "azure"])
def cloud(request: pytest.FixtureRequest) -> CloudServer:
    return request.getfixturevalue(f"cloud_{request.param}")


def opened(cloud: CloudServer, bucket: str = "") -> Store:
    return open_store(f"{cloud.scheme}://{bucket or cloud.bucket()}/out", cloud.storage_config)


def test_of_many_racers_for_the_same_key_one_wins(cloud: CloudServer) -> None:
    bucket = cloud.bucket()
    stores = [opened(cloud, bucket) for _ in range(16)]
    start = threading.Barrier(len(stores))

    def race(number: int) -> bool:
        start.wait()
        try:
            stores[number].put_if_absent("ledger/part", f"racer {number}".encode())
        except AlreadyExists:
            return False
        return True

    with ThreadPoolExecutor(len(stores)) as pool:
        won = [number for number, first in enumerate(pool.map(race, range(len(stores)))) if first]
    assert len(won) == 1
    assert stores[0].get("ledger/part").data == f"racer {won[0]}".encode()


def test_a_second_job_is_kept_out_by_the_lease(cloud: CloudServer) -> None:
    bucket = cloud.bucket()
    with hold_lease(opened(cloud, bucket), "runs/", what="run one") as lease:
        lease.check()
        with (
            pytest.raises(RunError, match="run one has been using"),
            hold_lease(opened(cloud, bucket), "runs/"),
        ):
            pytest.fail("two at once")
    with hold_lease(opened(cloud, bucket), "runs/", what="run two"):
        pass


def test_listings_of_many_pages_are_whole(cloud: CloudServer, monkeypatch) -> None:
    monkeypatch.setattr(f"{type(opened(cloud)).__module__}._PAGE", 3)
    store = opened(cloud)
    keys = [f"{number:02d}" for number in range(20)]
    for key in keys:
        store.put(key, b"")
    assert [info.key for info in store.list()] == keys


def test_a_file_of_parts_states_its_md5(cloud: CloudServer, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(bucket_store, "PART_BYTES", 2**18)
    monkeypatch.setattr(f"{type(opened(cloud)).__module__}.PART_BYTES", 2**18)
    (tmp_path / "big").write_bytes(b"0123456789abcdef" * 2**16)
    store = opened(cloud)
    store.put_file("big", tmp_path / "big", "image/tiff")
    got = store.get("big", start=100, max_bytes=10)
    assert (got.data, got.content_type) == (b"456789abcd", "image/tiff")
    assert got.md5 is not None
    assert store.get("big").data == (tmp_path / "big").read_bytes()


def test_an_archived_blob_says_so_and_is_not_read(cloud_azure: CloudServer) -> None:
    from azure.storage.blob import BlobClient

    bucket = cloud_azure.bucket()
    store = opened(cloud_azure, bucket)
    store.put("a.tif", b"1")
    connection = cloud_azure.environment["AZURE_STORAGE_CONNECTION_STRING"]
    blob = BlobClient.from_connection_string(connection, bucket, "out/a.tif")
    blob.set_standard_blob_tier("Archive")
    assert [info.archived for info in store.list()] == [True]
    assert not store.is_restored("a.tif")
    with pytest.raises(ObjectArchived, match=r"a\.tif is archived"):
        store.get("a.tif")
    blob.set_standard_blob_tier("Hot")
    assert store.is_restored("a.tif")


def test_a_backslash_is_no_letter_of_a_name_in_azure(cloud_azure: CloudServer) -> None:
    with pytest.raises(BadKey, match="backslash"):
        opened(cloud_azure).put("a\\b.jpg", b"1")


class Unreliable(BaseHTTPRequestHandler):
    """Hands requests on to a server of Google's protocol, and spoils answers: by `faults`, in turn."""

    upstream = ""
    faults: list[str] = []  # noqa: RUF012  # one for the whole server

    def _pass(self) -> None:
        length = int(self.headers.get("content-length", 0))
        headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection")}
        answer = requests.request(
            self.command, self.upstream + self.path, data=self.rfile.read(length), headers=headers, timeout=60
        )
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "lose":
            self.close_connection = True
            return
        body = answer.content[::-1] if fault == "damage" else answer.content
        self.send_response(503 if fault == "busy" else answer.status_code)
        for name, value in answer.headers.items():
            if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = _pass

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def unreliable(cloud_gcs: CloudServer, monkeypatch):
    Unreliable.upstream, Unreliable.faults = cloud_gcs.endpoint, []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Unreliable)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"127.0.0.1:{server.server_port}")
    yield opened(cloud_gcs)
    server.shutdown()
    server.server_close()


def test_a_put_whose_answer_is_lost_has_won(unreliable: Store) -> None:
    Unreliable.faults = ["lose"]
    unreliable.put_if_absent("ledger/part", b"mine")
    with pytest.raises(AlreadyExists):
        unreliable.put_if_absent("ledger/part", b"mine")
    Unreliable.faults = ["busy", "busy"]
    unreliable.put("other", b"1")
    Unreliable.faults = ["busy"] * 3
    with pytest.raises(StorageError, match="HTTP 503"):
        unreliable.put("other", b"1")


def test_other_bytes_than_are_stored_are_read_again_and_refused(unreliable: Store) -> None:
    unreliable.put("a.jpg", b"right")
    Unreliable.faults = ["damage", "damage"]
    assert unreliable.get("a.jpg").data == b"right"
    Unreliable.faults = ["damage"] * 5
    with pytest.raises(ObjectDamaged, match="the MD5 of its bytes is"):
        unreliable.get("a.jpg")


def test_who_has_no_credentials_is_told_what_to_set(monkeypatch, tmp_path) -> None:
    for name in ("CONNECTION_STRING", "ACCOUNT", "KEY", "SAS_TOKEN"):
        monkeypatch.delenv(f"AZURE_STORAGE_{name}", raising=False)
    for name in ("STORAGE_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    for uri, said in (
        ("az://con/p", "AZURE_STORAGE_CONNECTION_STRING"),
        ("gs://bucket/p", "GOOGLE_APPLICATION_CRED"),
    ):
        with pytest.raises(CredentialsMissing, match=said) as told:
            open_store(uri, StorageConfig(retries=1)).check_readable()
        assert "\n" not in str(told.value)
        assert told.value.exit_status == 2


def test_buckets_of_two_clouds_are_not_one() -> None:
    refuse_overlap("gs://archive/1920s", "az://archive/1920s/out")
    for scheme in ("s3", "gs", "az"):
        with pytest.raises(ConfigError, match="is inside the input"):
            refuse_overlap(f"{scheme}://archive/1920s", f"{scheme}://archive/1920s/out")
        with pytest.raises(ConfigError, match="has credentials in it"):
            open_store(f"{scheme}://user:secret@bucket/a", StorageConfig())
