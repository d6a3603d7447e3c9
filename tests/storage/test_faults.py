"""How stores handle faults of network and server, with a real server behind a proxy that injects them."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError, ResponseStreamingError

from pipeline.errors import AlreadyExists, ObjectDamaged, StorageError
from pipeline.storage import Store, open_store
from pipeline.storage.files import get_file
from tests.support.fault_proxy import Fault, FaultProxy, fault_proxy
from tests.support.servers import S3Server

pytestmark = pytest.mark.usefixtures("short_pauses")

DATA = bytes(range(256)) * 40


def _fetched(proxy: FaultProxy, bucket: str, key: str = "in/a.jpg") -> bytes:
    """By one request that nobody checks."""
    return _plain(proxy.server).get_object(Bucket=bucket, Key=key)["Body"].read()


def _plain(server: S3Server):
    once = Config(
        retries={"total_max_attempts": 1},
        response_checksum_validation="when_required",
        request_checksum_calculation="when_required",
    )
    return boto3.session.Session().client(
        "s3", endpoint_url=server.endpoint, region_name="us-east-1", config=once
    )


@pytest.fixture
def stored(s3_moto):
    """A bucket of moto's with one object, and its path."""
    bucket = s3_moto.bucket()
    s3_moto.client.put_object(Bucket=bucket, Key="in/a.jpg", Body=DATA)
    return s3_moto, bucket


def test_the_proxy_lets_through_what_no_fault_fits(stored):
    server, bucket = stored
    with fault_proxy(server, Fault("flip", path=r"\.tif")) as proxy:
        assert _fetched(proxy, bucket) == DATA
        assert proxy.seen == [("GET", f"/{bucket}/in/a.jpg", None)]


def test_the_proxy_does_to_bodies_what_its_faults_say(stored):
    server, bucket = stored
    faults = [Fault("flip", times=1), Fault("shorten", times=1), Fault("refuse", code="Busy", times=1)]
    with fault_proxy(server, *faults, Fault("cut", times=1), Fault("reset", times=1)) as proxy:
        flipped = _fetched(proxy, bucket)
        assert len(flipped) == len(DATA)
        assert sum((a ^ b).bit_count() for a, b in zip(flipped, DATA, strict=True)) == 1
        assert _fetched(proxy, bucket) == DATA[: len(DATA) // 2]
        with pytest.raises(ClientError, match="Busy"):
            _fetched(proxy, bucket)
        with pytest.raises(ResponseStreamingError):
            _fetched(proxy, bucket)
        with pytest.raises(HTTPClientError):
            _fetched(proxy, bucket)
        assert _fetched(proxy, bucket) == DATA


def test_the_proxy_loses_the_answer_of_what_was_done(stored):
    server, bucket = stored
    lost = Fault("lose_answer", method="PUT")
    with fault_proxy(server, lost) as proxy, pytest.raises(HTTPClientError):
        _plain(proxy.server).put_object(Bucket=bucket, Key="b", Body=b"written")
    assert server.client.get_object(Bucket=bucket, Key="b")["Body"].read() == b"written"


def test_the_proxys_chances_depend_on_the_seed_and_the_path_alone(s3_moto):
    befallen = []
    for order in (range(200), reversed(range(200))):
        with fault_proxy(s3_moto, Fault("refuse", chance=0.3), seed=5) as proxy:
            for number in order:
                proxy.choose("GET", f"/{number}")
        befallen.append({path for _, path, kind in proxy.seen if kind})
    assert befallen[0] == befallen[1]
    assert 30 < len(befallen[0]) < 90


def _patient(proxy: FaultProxy, bucket: str, prefix: str = "in") -> Store:
    return open_store(f"s3://{bucket}/{prefix}", proxy.server.storage_config)


@pytest.mark.parametrize("kind", ["moto", "ceph"])
def test_bytes_that_come_otherwise_than_they_are_stored_are_read_again(kind, request):
    server = request.getfixturevalue(f"s3_{kind}")
    bucket = server.bucket()
    server.client.put_object(Bucket=bucket, Key="in/a.jpg", Body=DATA)
    for fault in ("flip", "shorten", "cut", "reset"):
        with fault_proxy(server, Fault(fault, path="a.jpg", times=2)) as proxy:
            store = _patient(proxy, bucket)
            (info,) = store.list()
            assert store.get("a.jpg", if_etag=info.etag, size=info.bytes).data == DATA
            assert store.get("a.jpg").data == DATA
            assert proxy.count(fault) == 2


def test_an_answer_that_does_not_come_is_asked_for_again(stored):
    server, bucket = stored
    with fault_proxy(server, Fault("stall", path="a.jpg", seconds=3, times=1)) as proxy:
        impatient = proxy.server.storage_config.model_copy(update={"read_seconds": 1.0})
        assert open_store(f"s3://{bucket}/in", impatient).get("a.jpg").data == DATA
        assert [fault for _, _, fault in proxy.seen] == ["stall", None]


def test_an_object_that_stays_damaged_is_an_error_of_its_own(stored, tmp_path):
    server, bucket = stored
    with fault_proxy(server, Fault("flip", path="a.jpg")) as proxy:
        store = _patient(proxy, bucket)
        with pytest.raises(ObjectDamaged, match=r"a\.jpg is damaged in the store or on the way from it"):
            store.get("a.jpg")
        assert proxy.count("flip") == 5
        with pytest.raises(ObjectDamaged, match="the MD5"):
            get_file(store, "a.jpg", tmp_path / "file")
        believing = proxy.server.storage_config.model_copy(update={"verify_reads": False})
        assert len(open_store(f"s3://{bucket}/in", believing).get("a.jpg").data) == len(DATA)
    with fault_proxy(server, Fault("shorten", path="a.jpg")) as proxy:
        store = _patient(proxy, bucket)
        with pytest.raises(ObjectDamaged, match="5,120 bytes were read, but 10,240 are stored"):
            store.get("a.jpg", size=len(DATA))
        with pytest.raises(ObjectDamaged, match="bytes were read"):
            store.get("a.jpg", start=10, max_bytes=1000)


def test_a_checksum_that_the_server_keeps_is_compared_where_the_etag_is_none(s3_moto):
    """Of parts, whose ETag is no MD5 of the whole."""
    bucket, client = s3_moto.bucket(), s3_moto.client
    names = {"Bucket": bucket, "Key": "in/parts.tif"}
    begun = client.create_multipart_upload(**names, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")
    part = client.upload_part(
        **names, UploadId=begun["UploadId"], PartNumber=1, Body=DATA, ChecksumAlgorithm="CRC32"
    )
    listed = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"], "ChecksumCRC32": part["ChecksumCRC32"]}]}
    client.complete_multipart_upload(**names, UploadId=begun["UploadId"], MultipartUpload=listed)
    with fault_proxy(s3_moto, Fault("flip", path="parts.tif", times=1)) as proxy:
        fetched = _patient(proxy, bucket).get("parts.tif")
        assert (fetched.data, fetched.md5, proxy.count("flip")) == (DATA, None, 1)


def _in_parts(server: S3Server, bucket: str, key: str, sizes: list[int]) -> bytes:
    """Upload an object in parts of these sizes, with no other checksum than its ETag; its bytes."""
    client, names = _plain(server), {"Bucket": bucket, "Key": f"in/{key}"}
    data, listed, start = random.Random(1).randbytes(sum(sizes)), [], 0
    begun = client.create_multipart_upload(**names)["UploadId"]
    for number, size in enumerate(sizes, 1):
        body = data[start : start + size]
        part = client.upload_part(**names, UploadId=begun, PartNumber=number, Body=body)
        listed.append({"PartNumber": number, "ETag": part["ETag"]})
        start += size
    client.complete_multipart_upload(**names, UploadId=begun, MultipartUpload={"Parts": listed})
    return data


@pytest.mark.parametrize("sizes", [[8, 3], [5, 7, 1]], ids=["usual", "mixed"])
def test_an_object_of_parts_is_compared_with_the_md5s_of_its_parts(s3_moto, sizes):
    bucket = s3_moto.bucket()
    data = _in_parts(s3_moto, bucket, "master.tif", [size * 2**20 for size in sizes])
    with fault_proxy(s3_moto, Fault("flip", path="master.tif")) as proxy:
        store = _patient(proxy, bucket)
        with pytest.raises(
            ObjectDamaged, match="the MD5s of its parts differ from those that the server states"
        ):
            store.get("master.tif")
        proxy.faults[:] = [Fault("flip", path="master.tif", times=1)]
        assert store.get("master.tif").data == data
        assert proxy.count("flip") == 6


def test_a_master_of_parts_is_compared_too(s3_moto, tmp_path):
    bucket, path = s3_moto.bucket(), tmp_path / "master.tif"
    data = _in_parts(s3_moto, bucket, "master.tif", [8 * 2**20, 2**20])
    with fault_proxy(s3_moto, Fault("flip", path="master.tif", times=1, after=1)) as proxy:
        store = _patient(proxy, bucket)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("pipeline.storage.files._PART_BYTES", 4 * 2**20)
            saved = get_file(store, "master.tif", path, size=len(data))
        assert proxy.count("flip") == 1
    assert saved.sha256 == hashlib.sha256(data).hexdigest()
    assert path.read_bytes() == data


def test_an_object_of_parts_whose_server_does_not_tell_their_sizes_is_believed(s3_ceph):
    bucket = s3_ceph.bucket()
    data = _in_parts(s3_ceph, bucket, "master.tif", [5 * 2**20, 7 * 2**20, 2**20])
    assert open_store(f"s3://{bucket}/in", s3_ceph.storage_config).get("master.tif").data == data


@pytest.mark.parametrize("kind", ["moto", "ceph"])
def test_bytes_that_arrive_otherwise_than_they_were_sent_are_sent_again(kind, request, tmp_path):
    server = request.getfixturevalue(f"s3_{kind}")
    bucket = server.bucket()
    (tmp_path / "file").write_bytes(DATA)
    with fault_proxy(server, Fault("flip_put", method="PUT", times=1)) as proxy:
        store = _patient(proxy, bucket)
        for key, write in {
            "plain": lambda key: store.put(key, DATA),
            "part": lambda key: store.put_if_absent(key, DATA),
            "file": lambda key: store.put_file(key, tmp_path / "file"),
        }.items():
            proxy.faults[:] = [Fault("flip_put", method="PUT", path=key, times=1)]
            write(key)
            assert server.client.get_object(Bucket=bucket, Key=f"in/{key}")["Body"].read() == DATA, key
        assert proxy.count("flip_put") == 3
    always = Fault("flip_put", method="PUT")
    with (
        fault_proxy(server, always) as proxy,
        pytest.raises(StorageError, match="other bytes than were sent"),
    ):
        _patient(proxy, bucket).put("never", DATA)


def test_a_damaged_part_of_a_large_file_is_sent_again(s3_ceph, tmp_path):
    """By the SHA-256 in the signature, which moto does not look at."""
    bucket, path = s3_ceph.bucket(), tmp_path / "master.tif"
    path.write_bytes(DATA * 1700)
    with fault_proxy(s3_ceph, Fault("flip_put", method="PUT", path="partNumber=2", times=1)) as proxy:
        _patient(proxy, bucket).put_file("master.tif", path)
        assert proxy.count("flip_put") == 1
    stored = s3_ceph.client.get_object(Bucket=bucket, Key="in/master.tif")["Body"].read()
    assert hashlib.sha256(stored).digest() == hashlib.sha256(path.read_bytes()).digest()


@pytest.mark.parametrize("kind", ["moto", "ceph"])
def test_a_put_whose_answer_is_lost_was_done(kind, request, tmp_path):
    server = request.getfixturevalue(f"s3_{kind}")
    bucket = server.bucket()
    with fault_proxy(server, Fault("lose_answer", method="PUT", times=1)) as proxy:
        store = _patient(proxy, bucket)
        store.put_if_absent("part", DATA)
        assert proxy.count("lose_answer") == 1
        for data in (DATA, b"another's"):  # of one whose answers all come, equal bytes are another's too
            with pytest.raises(AlreadyExists):
                store.put_if_absent("part", data)
        proxy.faults[:] = [Fault("lose_answer", method="PUT", path="part", times=1, after=1)]
        with pytest.raises(AlreadyExists):
            store.put_if_absent("part", b"another's")
        with pytest.raises(AlreadyExists):
            store.put_if_absent("part", b"another's")
        assert proxy.count("lose_answer") == 2
        assert store.get("part").data == DATA


def test_a_large_file_whose_last_answer_is_lost_is_there(s3_moto, tmp_path):
    """Some servers forget an upload that is completed: moto and Ceph would complete it again."""
    bucket, path = s3_moto.bucket(), tmp_path / "master.tif"
    path.write_bytes(DATA * 1700)
    lost = Fault("lose_answer", method="POST", path="uploadId", times=1)
    forgotten = replace(lost, kind="refuse", status=404, code="NoSuchUpload")
    with fault_proxy(s3_moto, lost, forgotten) as proxy:
        _patient(proxy, bucket).put_file("master.tif", path)
        assert (proxy.count("lose_answer"), proxy.count("refuse")) == (1, 1)
    assert s3_moto.client.head_object(Bucket=bucket, Key="in/master.tif")["ContentLength"] == 1700 * len(DATA)


@pytest.mark.parametrize("fault", [Fault("refuse", times=3), Fault("reset", times=3)], ids=["503", "reset"])
def test_a_server_that_is_busy_at_the_start_is_asked_again(stored, fault):
    server, bucket = stored
    for method, check in (("GET", "check_readable"), ("POST", "check_writable")):
        with fault_proxy(server, replace(fault, method=method)) as proxy:
            getattr(_patient(proxy, bucket), check)()
            assert proxy.count(fault.kind) == 3
    with fault_proxy(server, replace(fault, path="list-type")) as proxy:
        assert [info.key for info in _patient(proxy, bucket).list()] == ["a.jpg"]
        assert proxy.count(fault.kind) == 3
