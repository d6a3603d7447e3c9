"""Sources that arrive with other bytes than stored: read again, otherwise a row says so, never a picture."""

from __future__ import annotations

import hashlib

import pytest

from pipeline.config.job import JobConfig
from pipeline.config.loading import load
from pipeline.errors import CredentialsRefused
from pipeline.plan.plan import make_plan
from pipeline.run.attempts import AttemptRegistry
from pipeline.shard.fused import FusedWorker
from pipeline.shard.job import Job
from tests.support.fault_proxy import Fault, fault_proxy
from tests.support.job_runner import encoded, ledger, photograph

pytestmark = pytest.mark.usefixtures("short_pauses")

KEYS = ("a.tif", "b.tif", "c.tif", "d.tif")


@pytest.fixture
def photographs(s3_moto):
    """A bucket of small photographs that differ, and their bytes by key."""
    bucket = s3_moto.bucket()
    files = {key: encoded(photograph(number, 80, 60), "TIFF") for number, key in enumerate(KEYS)}
    for key, data in files.items():
        s3_moto.client.put_object(Bucket=bucket, Key=key, Body=data)
    return bucket, files


def night(server, bucket: str, out: str, run_id: str, *settings: str) -> int:
    """One run without Ray; how many objects it had to do."""
    wanted = [*server.settings[1::2], "model.side=64", "output.format=tiff", *settings]
    config = load(JobConfig, None, wanted)
    worker = FusedWorker(Job(config, f"s3://{bucket}", out, run_id, "d", "w"), AttemptRegistry())
    plan = make_plan(worker.shard_worker.reader.source, worker.shard_worker.out, config, "d", workers=1)
    try:
        for shard in plan.shards:
            worker.run(shard.shard_id, shard.items)
    finally:
        worker.shard_worker.close()
    return plan.todo_items


@pytest.mark.parametrize("stream_bytes", [1, 2**30], ids=["in strips", "in memory"])
def test_what_comes_damaged_is_read_again_and_never_becomes_a_picture(
    s3_moto, photographs, tmp_path, stream_bytes
):
    bucket, files = photographs
    out = str(tmp_path / "out")
    faults = (
        Fault("flip", path="/a.tif", times=1),
        Fault("shorten", path="/b.tif", times=1),
        Fault("flip", path="/c.tif", bits=9),
        Fault("shorten", path="/d.tif"),
    )
    with fault_proxy(s3_moto, *faults) as proxy:
        assert night(proxy.server, bucket, out, "1", f"limits.stream_bytes={stream_bytes}") == 4
    rows = {row["key"]: row for row in ledger(out)}
    assert [rows[key]["failure_code"] for key in KEYS] == [None, None, "source_damaged", "source_damaged"]
    for key in ("a.tif", "b.tif"):
        assert rows[key]["source_sha256"] == hashlib.sha256(files[key]).hexdigest()
    assert "damaged in the store or on the way from it" in rows["c.tif"]["message"]
    size = len(files["d.tif"])
    assert f"{size // 2:,} bytes were read, but {size:,} are stored" in rows["d.tif"]["message"]


def test_what_was_denied_or_damaged_is_tried_again_when_it_can_be_read(s3_moto, photographs, tmp_path):
    bucket, _ = photographs
    out = str(tmp_path / "out")
    denied = Fault("refuse", path="/a.tif", status=403, code="AccessDenied")
    with fault_proxy(s3_moto, denied, Fault("flip", path="/b.tif", bits=9)) as proxy:
        assert night(proxy.server, bucket, out, "1") == 4
        codes = {row["key"]: row["failure_code"] for row in ledger(out)}
        assert codes == dict(zip(KEYS, ("source_denied", "source_damaged", None, None), strict=True))

        assert night(proxy.server, bucket, out, "2") == 1  # b gives a byte, and again not the right ones
        proxy.faults.clear()
        assert night(proxy.server, bucket, out, "3") == 2
        assert night(proxy.server, bucket, out, "4") == 0
    last = {row["key"]: (row["attempts"], row["status"]) for row in sorted(ledger(out), key=_attempts)}
    assert last == dict(zip(KEYS, [(tried, "colorized") for tried in (2, 3, 1, 1)], strict=True))


def _attempts(row) -> int:
    return row["attempts"]


@pytest.mark.parametrize("stream_bytes", [1, 2**30], ids=["in strips", "in memory"])
@pytest.mark.parametrize(
    ("status", "code", "advice"),
    [
        (400, "ExpiredToken", "renew them"),
        (403, "InvalidAccessKeyId", "renew them"),
        (403, "RequestTimeTooSkewed", "set it by NTP"),
    ],
)
def test_credentials_that_expire_stop_the_run_and_leave_no_row(
    s3_moto, photographs, tmp_path, status, code, advice, stream_bytes
):
    bucket, _ = photographs
    out = str(tmp_path / "out")
    strips = f"limits.stream_bytes={stream_bytes}"
    with fault_proxy(s3_moto, Fault("refuse", path="/c.tif", status=status, code=code)) as proxy:
        with pytest.raises(CredentialsRefused) as stopped:
            night(proxy.server, bucket, out, "1", strips)
        text = str(stopped.value)
        assert f"({code}): " in text
        assert advice in text
        assert text.endswith("run the same command again to continue")
        assert ledger(out) == []
        proxy.faults.clear()
        assert night(proxy.server, bucket, out, "2", strips) == 4
    assert [row["status"] for row in ledger(out)] == ["colorized"] * 4
