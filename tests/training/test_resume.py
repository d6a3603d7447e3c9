"""Training on a real S3 server, photographs and checkpoints there; a worker and the driver are killed."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pipeline.errors import ConfigError
from pipeline.models.method_list import weights_info
from pipeline.storage import open_store
from pipeline.training.run_folder import RunFolder, run_folder
from pipeline.training.sections import TrainSection
from tests.support.forked_commands import ForkedCommand, run_forked
from tests.support.job_runner import shared_head
from tests.support.paths import REPO
from tests.support.servers import S3Server
from tests.support.training_data import parts, training_rows

KEEP, EPOCHS, EPOCH_STEPS = 2, 3, 13
SETTINGS = [
    "model.method=iizuka", "model.width=0.05",
    "data.crop=64", "data.stream=true", "data.label_images=2", "data.window=16",
    "data.tasks=1", "data.max_unreadable=0.05", "train.precision=fp32", "train.threads=1", "train.batch=2",
    f"train.epochs={EPOCHS}", "train.checkpoint_steps=5", "train.log_steps=5", f"train.keep={KEEP}",
    "train.name=small", "train.retries=2", "train.workers=2",
]  # fmt: skip
BROKEN = frozenset({"sea/3"})


@pytest.fixture(scope="module")
def bucket(s3_ceph: S3Server) -> str:
    """54 photographs to train on, of which one is broken, and four to validate, below `photos/`."""
    uri = f"s3://{s3_ceph.bucket()}"
    store = open_store(f"{uri}/photos", s3_ceph.storage_config)
    for name, data in parts(training_rows({"sea": 40, "town": 14}, val=2, broken=BROKEN), 20, 6).items():
        store.put(name, data)
    return uri


def command(server: S3Server, bucket: str, *more: str) -> list[str]:
    settings = [part for setting in SETTINGS for part in ("--set", setting)]
    places = ["--photos", f"{bucket}/photos", "--storage", f"{bucket}/runs"]
    return [str(REPO / "jobs" / "train.py"), *places, *settings, *server.settings, *more]


@contextmanager
def started(arguments: list[str]) -> Iterator[Iterator[str]]:
    """The lines of a run that is killed at the end, its driver at once, its workers on the shared head as Ray
    notices it. A local Ray dies with its driver: see test_trainer.py."""
    # with the short interval of our jobs, the last step could come before the kill
    slow = {"PYTHONUNBUFFERED": "1", "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "2"}
    read, write = os.pipe()
    with os.fdopen(read) as lines, ForkedCommand(arguments, os.environ | shared_head() | slow, stdout=write):
        os.close(write)
        yield iter(lines)


def until(lines: Iterator[str], pattern: str, seen: list[str]) -> re.Match[str]:
    """The first further line that has the pattern."""
    for line in lines:
        seen.append(line)
        if result := re.search(pattern, line):
            return result
    pytest.fail(f"ended without {pattern!r}: {''.join(seen[-40:])}")


def wait_for_record(folder: RunFolder) -> None:
    """Until Ray's controller has written down a checkpoint; it asks its workers once a second."""
    deadline = time.monotonic() + 60
    while True:
        try:
            folder.newest()
        except ConfigError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            return


@pytest.mark.first
@pytest.mark.ray
@pytest.mark.timeout(900)
def test_a_killed_worker_and_a_killed_driver_resume(s3_ceph: S3Server, bucket: str, tmp_path: Path) -> None:
    folder = run_folder(f"{bucket}/runs", "small", s3_ceph.storage_config)
    begins = r"training at step (\d+) of (\d+): 54 photographs, 13 steps in an epoch, streamed"
    checkpoint = r"Checkpoint successfully created"
    seen: list[str] = []
    with started(command(s3_ceph, bucket)) as lines:
        assert until(lines, begins, seen).groups() == ("0", str(EPOCHS * EPOCH_STEPS))
        until(lines, checkpoint, seen)
        worker = until(lines, r"RayTrainWorker pid=(\d+)", seen)
        wait_for_record(folder)
        os.kill(int(worker[1]), signal.SIGKILL)
        again = int(until(lines, begins, seen)[1])
        assert again % 5 == 0
        assert 0 < again < EPOCHS * EPOCH_STEPS
        until(lines, checkpoint, seen)
    time.sleep(3)  # Ray's processes notice that the driver is gone; none may write into the run any more
    stray = "checkpoint_2000-01-01_00-00-00.000000"
    open_store(f"{bucket}/runs/small", s3_ceph.storage_config).put(f"{stray}/state.pt", b"of a killed run")

    done = run_forked(command(s3_ceph, bucket), os.environ | shared_head(), timeout=480)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output[-3000:]
    resumed = re.search(begins, output)
    assert resumed
    assert again <= int(resumed[1]) < EPOCHS * EPOCH_STEPS
    assert "replaced by another photograph: sea/3" in "".join(seen) + output
    kept = folder.checkpoints()
    assert 0 < len(kept) <= KEEP
    assert stray not in kept

    target = f"{bucket}/weights/small.safetensors"
    exported = command(s3_ceph, bucket, "--export", target)
    assert run_forked(exported, dict(os.environ)).returncode == 0
    info = weights_info("iizuka", target, storage=s3_ceph.storage_config)
    assert (info.provenance["steps"], info.provenance["epochs"]) == (EPOCHS * EPOCH_STEPS, EPOCHS)
    assert info.labels == ("sea", "town")
    tags = tensorboard_tags(bucket, s3_ceph, tmp_path)
    assert {"train/loss", "train/images_per_s", "train/data_wait", "val/rmse"} <= tags
    assert "input, prediction, truth" in tags


def tensorboard_tags(bucket: str, server: S3Server, local: Path) -> set[str]:
    store = open_store(f"{bucket}/runs/small/tensorboard", server.storage_config)
    for info in store.list():
        (local / info.key).write_bytes(store.get(info.key).data)
    events = EventAccumulator(str(local))
    events.Reload()
    result = events.Tags()
    return {*result["scalars"], *result["images"]}


def test_strays_are_the_folders_that_the_record_does_not_name(tmp_path: Path, s3_ceph: S3Server) -> None:
    """Before anything was recorded, every checkpoint folder is left over; other things stay."""
    for storage in (str(tmp_path), f"s3://{s3_ceph.bucket()}/runs"):
        folder = run_folder(storage, "run", s3_ceph.storage_config)
        store = open_store(folder.uri, s3_ceph.storage_config)
        assert folder.remove_strays() == []
        store.put("checkpoint_1/state.pt", b"")
        store.put("tensorboard/events", b"")
        assert folder.remove_strays() == ["checkpoint_1"]
        assert [info.key for info in store.list() if not info.key.endswith("/")] == ["tensorboard/events"]


def test_the_last_step() -> None:
    assert TrainSection().last_step(100) == 12_000
    assert TrainSection(steps=70).last_step(100) == 70
    assert TrainSection(epochs=1.5).last_step(100) == 150
    assert TrainSection(epochs=1.5, steps=120).last_step(100) == 120
    assert TrainSection(epochs=0.001).last_step(100) == 1
