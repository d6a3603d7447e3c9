"""What stores make of faults of network and server, with a real server behind a proxy that makes them."""

from __future__ import annotations

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError, ResponseStreamingError

from tests.support.fault_proxy import Fault, FaultProxy, fault_proxy
from tests.support.servers import S3Server

DATA = bytes(range(256)) * 40


def _fetched(proxy: FaultProxy, bucket: str, key: str = "in/a.jpg") -> bytes:
    """By one request that nobody checks."""
    return _plain(proxy.server).get_object(Bucket=bucket, Key=key)["Body"].read()


def _plain(server: S3Server):
    once = Config(retries={"total_max_attempts": 1}, response_checksum_validation="when_required")
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
