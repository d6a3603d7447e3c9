"""Storage that fails in the middle of a job: every job ends with one line that says why and what to do."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.disks import small_disk
from tests.support.evaluate_samples import write_photographs, write_weights
from tests.support.fault_proxy import Fault, fault_proxy
from tests.support.job_runner import FAST, encoded, fill, ledger, photograph, run, run_job
from tests.support.training_data import training_rows, write_parts

SHARDS = ("--set", "plan.shard_images=4")
ONE_MORE_TRY = ("--set", "storage.retries=1")
TRAINING = [
    "model.method=iizuka", "model.width=0.05", "data.label_images=2", "data.augment.blur=0",
    "train.precision=fp32", "train.threads=1", "train.batch=2", "train.steps=30", "train.checkpoint_steps=5",
    "train.log_steps=5", "optim.warmup=2", "train.retries=0", "train.name=small",
]  # fmt: skip
FULL = "No space left on device; free space on its disk and run the same command again"
_PROGRESS = re.compile(r"[\d,]+ of [\d,]+ ")


def error_line(done: subprocess.CompletedProcess[str]) -> str:
    """The one line on stderr beside progress."""
    assert done.returncode == 1, done.stdout + done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line and not _PROGRESS.match(line)]
    assert line.startswith("error: ")
    return line


@pytest.fixture
def photographs(s3_moto) -> str:
    """A bucket with twelve photographs below `in/`."""
    bucket = s3_moto.bucket()
    files = {f"{i:02d}.jpg": encoded(photograph(i)) for i in range(12)}
    fill(f"s3://{bucket}/in", files, s3_moto.storage_config)
    return bucket


@pytest.mark.job
def test_colouring_onto_a_disk_that_gets_full(tmp_path: Path, colorize) -> None:
    fill(str(tmp_path / "in"), {f"{i:02d}.jpg": encoded(photograph(i, 300, 200)) for i in range(12)})
    with small_disk(tmp_path / "disk", 160) as disk:
        line = error_line(colorize("--input", tmp_path / "in", "--output", disk / "out", *SHARDS))
    assert re.fullmatch(rf"error: cannot write {disk}/out/\S+: {FULL}", line)


@pytest.mark.ray
def test_colouring_from_s3_that_goes_away_and_comes_back(
    s3_moto, photographs: str, tmp_path: Path, colorize
) -> None:
    source, out = f"s3://{photographs}/in", str(tmp_path / "out")
    with fault_proxy(s3_moto, Fault("reset", path="/in/", after=5)) as proxy:
        command = ("--input", source, "--output", out, *SHARDS, *proxy.server.settings, *ONE_MORE_TRY)
        line = error_line(run(*command, *FAST))
        assert "cannot reach the S3 server for s3://" in line
        assert line.endswith("; check storage.endpoint and the network, and run the same command again")
        proxy.faults.clear()
        assert colorize(*command).returncode == 0
    assert [row["status"] for row in ledger(out)] == ["colorized"] * 12


@pytest.mark.ray
def test_verifying_what_credentials_no_longer_read(s3_moto, photographs: str, colorize) -> None:
    root = f"s3://{photographs}"
    coloured = colorize("--input", f"{root}/in", "--output", f"{root}/out", *SHARDS, *s3_moto.settings)
    assert coloured.returncode == 0, coloured.stderr
    expired = Fault("refuse", path="/out/images/..", after=3, status=400, code="ExpiredToken")
    with fault_proxy(s3_moto, expired) as proxy:
        line = error_line(run_job("verify", "--output", f"{root}/out", *proxy.server.settings))
    assert "the S3 server refuses the credentials for s3://" in line
    assert line.endswith("(ExpiredToken): renew them; run the same command again to continue")


@pytest.mark.ray
def test_evaluating_while_a_server_is_busy(s3_moto, tmp_path: Path) -> None:
    bucket = s3_moto.bucket()
    for path in write_photographs(tmp_path / "photos").iterdir():
        s3_moto.client.put_object(Bucket=bucket, Key=f"in/{path.name}", Body=path.read_bytes())
    weights = write_weights(tmp_path / "weights.safetensors")
    entries = f'evaluate.entries=[{{"name": "w", "weights": "{weights}"}}]'
    places = ("--input", f"s3://{bucket}/in", "--output", tmp_path / "out")
    with fault_proxy(s3_moto, Fault("refuse", path="[bcd].png")) as proxy:
        settings = ("--set", entries, "--set", "evaluate.side=64", *proxy.server.settings, *ONE_MORE_TRY)
        line = error_line(run_job("evaluate", *places, *settings))
    assert "SlowDown (HTTP 503); run the same command again when the server has recovered" in line


@pytest.mark.first
@pytest.mark.ray
def test_training_onto_a_disk_that_gets_full(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    write_parts(photos, training_rows({"sea": 10, "town": 10}, val=2))
    settings = [part for setting in TRAINING for part in ("--set", setting)]
    with small_disk(tmp_path / "disk", 1500) as disk:
        done = run_job("train", "--photos", photos, "--storage", disk, *settings)
    assert done.returncode == 1
    # Ray Train's own lines, of what workers do, have a prefix of their process
    ours = [line for line in done.stderr.splitlines() if line and not line.startswith("\x1b[36m(")]
    assert len(ours) == 1, ours
    # a checkpoint, TensorBoard's file, or the sign that the run has ended
    assert re.fullmatch(rf"error: cannot (write|read or write below) {disk}\S*: {FULL}", ours[0])
