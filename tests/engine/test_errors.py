"""An error in a worker gives the user one line: our errors as raised, others with their place in the code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ray.exceptions import RayTaskError
from ray.train.v2._internal.exceptions import UserExceptionWithTraceback
from ray.train.v2.api.exceptions import WorkerGroupError

from pipeline.engine.actors import RowActor
from pipeline.engine.errors import explained
from pipeline.errors import ConfigError, FailureCode, ImageFailure, RunError, StorageError
from tests.support.job_runner import FAST, encoded, fill, photograph, run, shared_head
from tests.support.paths import REPO

# Ray Data in a process of its own, on the head that the tests share.
CHAIN = """
import os, sys
import pyarrow as pa, ray.data
from ray.data import ActorPoolStrategy
from pipeline.engine.actors import RowActor
from pipeline.engine.limits import bounded_actor, tune
from pipeline.engine.cluster import cluster
from pipeline.cli.command import exit_status
from pipeline.engine.errors import explained
from pipeline.engine.tasks import map_tasks
from pipeline.errors import StorageError
from pipeline.shard.compose import compose

class Unopened(RowActor):
    def open(self):
        raise StorageError("the disk is full")
    def work(self, batch):
        return batch

class Defect(RowActor):
    def open(self):
        pass
    def work(self, batch):
        return compose(None, None, None, None)

with cluster(None, 1):
    tune(120)
    rows = ray.data.from_arrow([pa.table({"x": [1]})])
    for actor in (Unopened, Defect):
        chain = rows.map_batches(actor, batch_size=1, batch_format="pyarrow", num_cpus=1,
                                 compute=ActorPoolStrategy(size=1), ray_remote_args_fn=bounded_actor)
        try:
            list(chain.iter_batches(batch_size=1, prefetch_batches=0, batch_format="pyarrow"))
        except Exception as error:
            found = explained(error, "run it again")
            print(f"{type(found).__name__}: {found}")

    def fail(number):
        raise StorageError("the bucket is gone")

    print(exit_status(lambda: list(map_tasks(fail, [(1,)], 1, 120))))
"""


def raised_in_a_worker(cause: Exception, *frames: str) -> Exception:
    """The error as `ray.get` raises it: of the cause's class as well, with a traceback as its text."""
    lines = ["Traceback (most recent call last):", *frames, f"{type(cause).__name__}: {cause}"]
    return RayTaskError("work", "\n".join(lines), cause, "ray::work", 1, "127.0.0.1").as_instanceof_cause()


def test_our_error_comes_out_of_a_task_as_its_one_line() -> None:
    result = explained(raised_in_a_worker(StorageError("the disk is full")), "run it again")
    assert type(result) is StorageError
    assert str(result) == "the disk is full"


def test_what_ray_data_adds_to_the_message_goes() -> None:
    """Ray 2.60 puts its retries, and how to have errors ignored, below the message of any error."""
    advice = (
        "\nFailed to apply UDF transform after 1/1 attempts\nTo change retry attempts, configure DataContext"
    )
    assert (
        str(explained(raised_in_a_worker(StorageError(f"the disk is full{advice}")), ""))
        == "the disk is full"
    )
    image = ImageFailure(FailureCode.CORRUPT, "cut off")
    image.args = (f"cut off{advice}",)
    assert str(explained(raised_in_a_worker(image), "")) == "cut off"


def test_our_error_is_found_inside_ray_trains() -> None:
    inner = RuntimeError("around it")
    inner.__cause__ = ConfigError("what to do")
    assert str(explained(WorkerGroupError("many lines", {1: inner}), "")) == "what to do"
    other = explained(WorkerGroupError("a worker\nwas lost", {0: RuntimeError("killed")}), "run it again")
    assert type(other) is RunError
    assert str(other).startswith("the run stopped: ")
    assert str(other).endswith("a worker was lost; run it again")


def test_ray_trains_wrapper_of_a_workers_error_is_looked_through() -> None:
    frames = 'Traceback\n  File "/opt/x/pipeline/training/loop.py", line 30, in train_worker\n'
    ours = UserExceptionWithTraceback(
        StorageError("the disk is full"), f"{frames}StorageError: the disk is full"
    )
    assert str(explained(WorkerGroupError("many lines", {0: ours}), "")) == "the disk is full"
    defect = UserExceptionWithTraceback(
        ZeroDivisionError("division by zero"), f"{frames}ZeroDivisionError: ..."
    )
    line = str(explained(WorkerGroupError("many lines", {1: defect}), "run it again"))
    reason = "ZeroDivisionError: division by zero (pipeline/training/loop.py, line 30)"
    assert line == f"the run stopped: {reason}; run it again"


def test_a_defect_names_its_place() -> None:
    frames = (
        '  File "/opt/x/pipeline/shard/finish.py", line 7, in f',
        '  File "/lib/numpy/core.py", line 9, in g',
    )
    result = explained(
        raised_in_a_worker(ZeroDivisionError("division by zero\nmore"), *frames), "run it again"
    )
    assert type(result) is RunError
    reason = "ZeroDivisionError: division by zero (pipeline/shard/finish.py, line 7)"
    assert str(result) == f"the run stopped: {reason}; run it again"


def test_an_actor_keeps_its_constructors_error_for_the_first_row() -> None:
    class Unopened(RowActor):
        def open(self) -> None:
            raise StorageError("the disk is full")

        def work(self, batch: object) -> object:
            return batch

    actor = Unopened()
    with pytest.raises(StorageError, match="the disk is full"):
        actor(None)


@pytest.mark.ray
def test_chains_and_tasks_whose_workers_fail_are_one_line_each() -> None:
    """The tasks as a job has them, which prints the line and returns the class's exit status."""
    environment = os.environ | shared_head()
    done = subprocess.run(
        [sys.executable, "-c", CHAIN], capture_output=True, text=True, cwd=REPO, env=environment, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "error: the bucket is gone\n"
    ours, defect, status = done.stdout.splitlines()
    assert status == "1"
    assert ours == "StorageError: the disk is full"
    assert defect.startswith("RunError: the run stopped: ")
    assert "(pipeline/shard/compose/" in defect


@pytest.mark.ray
def test_colouring_ends_with_the_line_of_the_worker_whose_output_cannot_be_written(tmp_path: Path) -> None:
    fill(str(tmp_path / "in"), {"a.jpg": encoded(photograph(1))})
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "ledger").write_text("a file where the ledger's folder is to be")
    done = run("--input", tmp_path / "in", "--output", tmp_path / "out", *FAST)
    assert done.returncode == 1, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("0 of 1 images")]
    assert line.startswith("error: ")
    assert "ledger" in line
