"""The promises of `jobs/verify.py`, with a real Ray, on a folder and on an S3 server."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
from datetime import UTC, datetime
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.config.storage import StorageConfig
from pipeline.ledger.schema import LedgerRow
from pipeline.ledger.write import commit_part
from pipeline.records import Status
from pipeline.shard.put import put_image
from pipeline.storage import Store, open_store
from tests.support.job_runner import encoded, fill, photograph, run_job


def verify(*args: object) -> subprocess.CompletedProcess[str]:
    return run_job("verify", *args, "--set", "run.workers=2")


def findings(report: Store) -> list[tuple[str, str]]:
    table = pq.read_table(io.BytesIO(report.get("findings.parquet").data))
    return [(row["key"], row["finding"]) for row in table.to_pylist()]


def summary(report: Store) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads(report.get("summary.json").data)
    return summary


def deliver(out: Store, source: Store, count: int) -> None:
    """`count` images with their ledger parts, written as a worker writes them, and their sources."""
    for first in range(0, count, 100):
        rows = []
        for index in range(first, min(first + 100, count)):
            key, data = f"box-{index % 7}/scan {index:04d}.jpg", f"image {index} ".encode() * 30
            gray = f"source {index}".encode()
            source.put(key, gray)
            put_image(out, f"images/{key}", data, "jpeg")
            at = datetime(2026, 1, 1, tzinfo=UTC)
            row = LedgerRow(key, "e", len(gray), Status.COLORIZED, 1, "unet", "w", "digest", "run", at)
            row.output_key, row.output_sha256 = f"images/{key}", hashlib.sha256(data).hexdigest()
            row.source_sha256 = hashlib.sha256(gray).hexdigest()
            rows.append(row)
        assert commit_part(out, "digest", f"{first:016x}", rows)


@pytest.fixture(scope="module", params=["folder", "s3"])
def delivered(request, tmp_path_factory) -> tuple[Store, Store, tuple[str, ...], StorageConfig]:
    """A thousand delivered objects, fewer on a slow server: OUT, the source, the job's settings and the
    storage's."""
    if request.param == "folder":
        root, storage, settings = str(tmp_path_factory.mktemp("delivered")), StorageConfig(), ()
    else:
        server = request.getfixturevalue("s3_moto")
        root, storage, settings = f"s3://{server.bucket()}", server.storage_config, server.settings
    out, source = open_store(f"{root}/out", storage), open_store(f"{root}/in", storage)
    deliver(out, source, 1000 if request.param == "folder" else 300)
    return out, source, settings, storage


@pytest.mark.ray
def test_it_finds_one_flipped_byte_one_deleted_and_one_stray_object_and_nothing_else(delivered):
    out, source, settings, storage = delivered
    report = open_store(f"{out.uri}-report", storage)
    fine = verify("--output", out.uri, "--input", source.uri, "--report", report.uri, *settings)
    assert (fine.returncode, findings(report)) == (0, []), fine.stderr
    count = len([*source.list()])
    assert count in (300, 1000)
    assert (summary(report)["hashed"], summary(report)["expected"]) == (2 * count, 2 * count)

    flipped, deleted = "images/box-0/scan 0245.jpg", "images/box-5/scan 0299.jpg"
    data = bytearray(out.get(flipped).data)
    data[17] ^= 1
    out.put(flipped, bytes(data))
    out.delete(deleted)
    out.put("images/box-0/scan 0245 (copy).jpg", b"stray")
    before = {info.key: info.etag for info in out.list()}
    done = verify("--output", out.uri, "--report", report.uri, *settings)
    assert done.returncode == 3, done.stderr
    assert findings(report) == [
        ("images/box-0/scan 0245 (copy).jpg", "unexpected"),
        (flipped, "changed"),
        (deleted, "missing"),
    ]
    assert summary(report)["findings"] == {"unexpected": 1, "changed": 1, "missing": 1}
    assert flipped in done.stdout
    assert {info.key: info.etag for info in out.list()} == before


@pytest.mark.ray
def test_sources_and_a_damaged_ledger_part(delivered):
    out, source, settings, _ = delivered
    source.put("box-3/scan 0003.jpg", b"another photograph")
    source.delete("box-4/scan 0004.jpg")
    out.put("ledger/digest/part-ffffffffffffffff.parquet", b"PAR1")
    done = verify("--output", out.uri, "--input", source.uri, *settings)
    assert done.returncode == 3, done.stderr
    (report,) = {info.key.rpartition("/")[0] for info in out.list("runs/")}
    table = pq.read_table(io.BytesIO(out.get(f"{report}/findings.parquet").data)).to_pylist()
    others = {row["key"]: row["finding"] for row in table if not row["key"].startswith("images/")}
    assert others == {
        "box-3/scan 0003.jpg": "source_changed",
        "box-4/scan 0004.jpg": "source_missing",
        "ledger/digest/part-ffffffffffffffff.parquet": "ledger_unreadable",
    }


@pytest.mark.ray
def test_what_a_real_run_delivers_is_fine_and_the_report_disturbs_nothing(tmp_path, colorize):
    """Masters and their access copies; then one of the copies is damaged, and that alone is told."""
    out, source = tmp_path / "out", tmp_path / "in"
    fill(str(source), {f"{i}.tif": encoded(photograph(i), "TIFF") for i in range(3)})
    masters = ("--config", "master-and-access", "--set", "output.derivative.side=64")
    process = colorize("--input", source, "--output", out, *masters)
    assert process.returncode == 0, process.stderr
    done = verify("--output", out, "--input", source)
    assert done.returncode == 0, done.stderr + done.stdout
    damaged = out / "derivatives" / "1.tif.jpg"
    data = bytearray(damaged.read_bytes())
    data[-100] ^= 1
    damaged.write_bytes(data)
    again = verify("--output", out, "--input", source)
    assert again.returncode == 3, again.stderr
    assert "derivatives/1.tif.jpg" in again.stdout
    reports = sorted((out / "runs").glob("*-verify"))
    read = [findings(open_store(str(report), StorageConfig())) for report in reports]
    assert read == [[], [("derivatives/1.tif.jpg", "changed")]]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--output", "OUT/nowhere"), "no folder"),
        (("--output", "OUT", "--input", "OUT/nowhere"), "no folder"),
        (("--output", "OUT"), "no ledger"),
        (("--output", "OUT", "--report", "OUT/images/report"), "is inside the input"),
        (("--output", "OUT", "--input", "OUT/in", "--report", "OUT/in/report"), "is inside the input"),
        (("--output", "OUT", "--set", "run.workerz=1"), "run.workerz"),
    ],
)
def test_bad_usage_is_one_line_and_exit_2(tmp_path, in_process, args, message):
    (tmp_path / "in").mkdir()
    refused = in_process("verify", *(arg.replace("OUT", str(tmp_path)) for arg in args))
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
