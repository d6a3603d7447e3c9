"""The whole job without Ray, as a user runs it: small plans on one machine."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pipeline.config.job import JobConfig, RunConfig, job_digest
from pipeline.config.loading import load
from pipeline.errors import ConfigError
from pipeline.plan.plan import Plan
from pipeline.run import engine_choice
from pipeline.run.engine_choice import SMALL_BYTES, SMALL_IMAGES, choose_engine
from tests.support.job_runner import FAST, encoded, fill, ledger, photograph, started
from tests.support.paths import REPO

pytestmark = pytest.mark.job

#: What most runs do without, and what takes long to load: seconds of each process's start.
HEAVY = ("ray", "boto3", "scipy.ndimage", "scipy.sparse", "scipy.spatial", "skimage.feature")
#: Runs the job with all that its workers import, and says what of HEAVY is there.
PROGRAM = f"""
HEAVY = {HEAVY}
import sys, pipeline.run.pool_worker
from pipeline.commands.colorize import main
status = main(sys.argv[1:])
print([name for name in HEAVY if name in sys.modules])
sys.exit(status)
"""


def environment(**more: str) -> dict[str, str]:
    """That of a machine without a cluster."""
    return {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"} | more


def test_a_small_job_loads_neither_ray_nor_what_only_others_need(tmp_path: Path) -> None:
    fill(str(tmp_path / "in"), {"a.jpg": encoded(photograph(1)), "b.jpg": encoded(photograph(2))[:300]})
    words = [str(tmp_path / "in"), str(tmp_path / "out"), *FAST]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        env=environment(PYTHONPATH=str(REPO)), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
    assert "fused, 1 worker in processes on this machine" in done.stdout
    (file,) = (tmp_path / "out").glob("runs/*/summary.json")
    summary = json.loads(file.read_text())
    assert (summary["engine"], summary["workers"], summary["counts"]["colorized"]) == ("processes", 1, 1)
    assert [row["failure_code"] for row in ledger(str(tmp_path / "out"))] == [None, "truncated"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_job_that_is_stopped_leaves_no_process_and_no_temporary_file(
    tmp_path: Path, number: signal.Signals
) -> None:
    out, temporary = tmp_path / "out", tmp_path / "tmp"
    temporary.mkdir()
    fill(str(tmp_path / "in"), {f"{i:02d}.jpg": encoded(photograph(i % 4, 900, 700)) for i in range(80)})
    shards = ("--set", "run.workers=2", "--set", "plan.shard_images=4")
    with started(tmp_path / "in", out, *FAST, *shards, env=environment(TMPDIR=str(temporary))) as job:
        while not any(out.glob("ledger/*/*.parquet")):
            assert job.poll() is None
            time.sleep(0.01)
        family = psutil.Process(job.pid).children(recursive=True)
        assert len(family) >= 3  # the server, a worker, its decoder
        job.send_signal(number)
        _, stderr = job.communicate(timeout=60)
    assert psutil.wait_procs(family, timeout=10)[1] == []
    assert 0 < len(ledger(str(out))) < 80
    if number != signal.SIGKILL:
        assert job.returncode == 1
        last = stderr.splitlines()[-1]
        told = re.match(r"error: interrupted after (\d+) of 80 images", last)
        assert told, last
        # of the shards, too, that are committed while the job is being stopped
        assert int(told[1]) == len(ledger(str(out)))
        assert not list(out.rglob(".fiat-*"))
    assert not list(temporary.iterdir())


def plan_of(images: int, size: int) -> Plan:
    return Plan(images, size, 0, {}, images, size, [])


def test_small_plans_alone_do_without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS")
    monkeypatch.setattr(engine_choice, "has_gpu", lambda: False)
    assert choose_engine(RunConfig(), plan_of(SMALL_IMAGES, SMALL_BYTES)) == "processes"
    assert choose_engine(RunConfig(), plan_of(SMALL_IMAGES + 1, 1)) == "ray"
    assert choose_engine(RunConfig(), plan_of(1, SMALL_BYTES + 1)) == "ray"
    assert choose_engine(RunConfig(engine="processes"), plan_of(SMALL_IMAGES + 1, 1)) == "processes"
    for other in (
        {"engine": "ray"},
        {"address": "a:1"},
        {"gpus": 1},
        {"compose": "gpu"},
        {"topology": "staged"},
    ):
        assert choose_engine(RunConfig.model_validate(other), plan_of(1, 1)) == "ray"
    monkeypatch.setattr(engine_choice, "has_gpu", lambda: True)
    assert choose_engine(RunConfig(), plan_of(1, 1)) == "ray"
    monkeypatch.setattr(engine_choice, "has_gpu", lambda: False)
    monkeypatch.setenv("RAY_ADDRESS", "a:1")
    assert choose_engine(RunConfig(), plan_of(1, 1)) == "ray"
    assert choose_engine(RunConfig(engine="processes"), plan_of(1, 1)) == "processes"


@pytest.mark.parametrize("other", ["address=a:1", "gpus=1", "compose=gpu", "topology=staged"])
def test_processes_take_nothing_that_only_ray_has(other: str) -> None:
    with pytest.raises(ConfigError, match="engine=processes colours on the CPUs of this machine"):
        load(JobConfig, None, ["run.engine=processes", f"run.{other}"])


def test_the_engine_makes_no_new_work() -> None:
    digests = {
        job_digest(load(JobConfig, None, [f"run.engine={one}"]), "w") for one in ("auto", "ray", "processes")
    }
    assert len(digests) == 1
