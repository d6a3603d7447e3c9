"""The whole job against a real S3 server and a real Ray head: kills, resumes, poison, submission."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from pipeline.config.storage import StorageConfig
from pipeline.storage import open_store
from tests.support.forked_commands import ForkedCommand
from tests.support.forked_workers import forked_now
from tests.support.job_runner import (
    encoded,
    fill,
    image_digests,
    lasting,
    ledger,
    photograph,
    run,
    shared_head,
    started,
)
from tests.support.processes import children_of, command_line

FAST = ("--set", "model.side=64", "--set", "run.workers=2", "--set", "run.engine=ray")


def parts(uri: str, storage: StorageConfig) -> int:
    """Committed shards below OUT."""
    return sum(1 for _ in open_store(uri, storage).list("ledger/"))


def until(condition, seconds: float, what: str) -> None:
    """Wait for the condition; fail with `what` when it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@pytest.mark.first
@pytest.mark.ray
def test_kill_9_of_the_driver_and_the_same_command_again(s3_ceph, colorize):
    storage, settings = s3_ceph.storage_config, s3_ceph.settings
    root = f"s3://{s3_ceph.bucket()}"
    fill(f"{root}/in", {f"{i:03d}.jpg": encoded(photograph(i, 300, 200)) for i in range(112)}, storage)
    shards = (*settings, "--set", "plan.shard_images=4")
    whole = colorize("--input", f"{root}/in", "--output", f"{root}/whole", *shards)
    assert whole.returncode == 0, whole.stderr

    again = ("--input", f"{root}/in", "--output", f"{root}/cut", *shards, *FAST)
    with started(*again) as driver:
        while parts(f"{root}/cut", storage) < 2:
            assert driver.poll() is None, driver.written()
            time.sleep(0.05)
        until(lambda: len(at_work(driver.pid)) >= 4, 60, "two workers and their decoders are not at work")
        family, working = [psutil.Process(pid) for pid in children_of(driver.pid)], at_work(driver.pid)
        driver.kill()
        assert driver.wait(60) == -signal.SIGKILL
    until(
        lambda: not any(is_worker(p) or is_decoder(p) for p in working), 60, "workers outlive a killed driver"
    )
    until(lambda: not any(map(is_running, family)), 60, "Ray's processes outlive a killed driver")
    committed = parts(f"{root}/cut", storage)
    assert committed < 28, "the kill came too late to show anything"

    resumed = run(*again)
    assert resumed.returncode == 0, resumed.stderr
    assert f"done     {4 * committed} files" in resumed.stdout
    assert image_digests(f"{root}/cut", storage) == image_digests(f"{root}/whole", storage)
    assert lasting(ledger(f"{root}/cut", storage)) == lasting(ledger(f"{root}/whole", storage))


@pytest.mark.ray
def test_a_local_folder_and_s3_give_the_same_images(s3_ceph, tmp_path, colorize):
    storage, settings = s3_ceph.storage_config, s3_ceph.settings
    root = f"s3://{s3_ceph.bucket()}"
    files = {f"a/{i}.png": encoded(photograph(i), "PNG") for i in range(5)} | {"b.txt": b"no image"}
    fill(f"{root}/in", files, storage)
    fill(str(tmp_path / "in"), files)
    assert run("--input", f"{root}/in", "--output", f"{root}/out", *FAST, *settings).returncode == 0
    assert colorize("--input", tmp_path / "in", "--output", tmp_path / "out").returncode == 0
    assert image_digests(f"{root}/out", storage) == image_digests(str(tmp_path / "out"))
    remote = lasting(ledger(f"{root}/out", storage), "etag")
    assert remote == lasting(ledger(str(tmp_path / "out")), "etag")


@pytest.mark.ray
def test_a_worker_that_is_killed_costs_nothing(tmp_path):
    fill(str(tmp_path / "in"), {f"{i:02d}.jpg": encoded(photograph(i, 300, 200)) for i in range(48)})
    with at_work_on_the_head(tmp_path) as driver:
        os.kill(next(filter(is_worker, forked_now())), signal.SIGKILL)
        _, stderr = driver.communicate(timeout=200)
    assert driver.returncode == 0, stderr
    rows = ledger(str(tmp_path / "out"))
    assert [row["key"] for row in rows] == [f"{i:02d}.jpg" for i in range(48)]
    assert {row["status"] for row in rows} == {"colorized"}


@pytest.mark.ray
def test_a_scheduler_that_stops_the_job_is_told_that_it_did_not_finish(tmp_path):
    fill(str(tmp_path / "in"), {f"{i:02d}.jpg": encoded(photograph(i, 300, 200)) for i in range(48)})
    with at_work_on_the_head(tmp_path) as driver:
        assert any(map(is_worker, forked_now()))
        driver.send_signal(signal.SIGTERM)
        _, stderr = driver.communicate(timeout=60)
    assert driver.returncode == 1
    assert "run the same command again to continue" in stderr
    assert "Traceback" not in stderr
    until(lambda: not any(map(is_worker, forked_now())), 60, "workers outlive a stopped driver")


@contextmanager
def at_work_on_the_head(folder: Path) -> Iterator[ForkedCommand]:
    """The job once it has committed a shard, on the head of all tests."""
    places = ("--input", folder / "in", "--output", folder / "out")
    shards = ("--set", "plan.shard_images=4")
    with started(*places, *FAST, *shards, env=shared_head()) as driver:
        until(
            lambda: any((folder / "out").glob("ledger/*/*")), 180, "no shard was committed in three minutes"
        )
        yield driver


def is_running(process: psutil.Process) -> bool:
    """Not for one that has ended and whose parent has not asked for its status."""
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def at_work(driver: int) -> set[int]:
    """The workers of a driver and their decoders: all that could still write."""
    return {pid for pid in children_of(driver) if is_worker(pid) or is_decoder(pid)}


def is_worker(pid: int) -> bool:
    """Is this a Ray worker that holds a colouring actor?"""
    return "FusedActor" in command_line(pid)


def is_decoder(pid: int) -> bool:
    """Is this the decoder's child process of a worker?"""
    return "pipeline.codecs.isolated.child" in command_line(pid)
