"""A small benchmark: it measures what it says, its tables are complete, and it continues where it stopped."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from pipeline import IMPORT_ROOT
from pipeline.benchmark.process_tree import watched
from pipeline.benchmark.results import Cell, Results, Run, TrainingRate
from pipeline.benchmark.sample_photographs import count_of, megapixels, photographs
from pipeline.benchmark.tables import ratio_table, rows, training_table
from pipeline.benchmark.training_loop import BareLoop, train
from pipeline.config.loading import load
from pipeline.errors import RunError
from pipeline.training.settings import TrainConfig

CELL = Cell(size="512", count=10, workers=2)


def result(contender: str, round_: int, seconds: float, digest: str | None = None) -> Run:
    return Run(
        cell=CELL, contender=contender, round=round_, megapixels=2.6, start_seconds=1, run_seconds=seconds,
        wall_seconds=seconds + 1, cpu_run_seconds=2 * seconds, cpu_seconds=2 * seconds + 1, peak_rss=2**30,
        other_cores=0, digest=digest,
    )  # fmt: skip


def results(*runs: Run) -> Results:
    return Results(machine={}, versions={}, settings={}, runs=list(runs))


@pytest.mark.first
@pytest.mark.ray
def test_the_job_and_the_loops_on_six_images(tmp_path: Path, in_process) -> None:
    """With a real Ray: half a minute on an idle machine."""
    asked = ("--folder", tmp_path, "--quick", "--counts", 6, "--workers", 1, "--set", "model.side=64")
    done = in_process("benchmark", *asked, "--contenders", "ours", "same_work", "floor")
    assert done.returncode == 0, done.stderr
    runs = json.loads((tmp_path / "results.json").read_text())["runs"]
    assert {run["contender"] for run in runs} == {"ours", "same_work", "floor"}
    for run in runs:
        assert run["run_seconds"] > 0
        assert run["cpu_run_seconds"] > 0
        assert run["peak_rss"] > 100 * 2**20
    page = (tmp_path / "performance.md").read_text()
    assert page.count("| 512 x 512 | 6 | 1 |") == 2 + 3
    assert "| loop, same work | **" in page
    assert "| yes |" in page  # the same bytes as ours
    assert "![images per second" in page
    assert (tmp_path / "performance" / "rates.png").stat().st_size > 5000
    again = in_process("benchmark", *asked, "--contenders", "ours", "same_work", "floor")
    assert again.returncode == 0, again.stderr
    assert json.loads((tmp_path / "results.json").read_text())["runs"] == runs  # nothing was measured twice


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--sizes", "3mp"), "invalid choice"),
        (("--workers", "4096"), "need a core each"),
        (("--counts", "0"), "at least 1"),
        (("--set", "model.sides=64"), "model.sides"),
        (("--page-only",), "measure first"),
    ],
)
def test_bad_usage_is_told(tmp_path: Path, in_process, arguments: tuple[str, ...], said: str) -> None:
    done = in_process("benchmark", "--folder", tmp_path, *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_ratios_are_of_all_rounds_and_name_their_spread() -> None:
    measured = results(
        result("ours", 0, 4, "a"), result("ours", 1, 6, "a"),
        result("same_work", 0, 2, "a"), result("same_work", 1, 6, "a"),
    )  # fmt: skip
    assert [row.images_per_second for row in rows(measured)] == [2.0, 2.5]
    assert "| loop, same work | **0.80** | 0.50 to 1.00 | 0.80 | 0.83 | yes |" in ratio_table(measured)
    measured.runs[-1] = result("same_work", 1, 6, "b")
    assert "| NO |" in ratio_table(measured)


def test_photographs_are_shared_between_counts_and_exact(tmp_path: Path) -> None:
    def made(count: int) -> list[bytes]:
        folder = photographs(IMPORT_ROOT / "tests" / "photos", tmp_path, "mixed", count)
        return [path.read_bytes() for path in sorted(folder.iterdir())]

    three = made(3)
    assert len(set(three)) == 3
    assert made(2) == three[:2]
    assert count_of("mixed", 1000) % 12 == 0
    assert megapixels("2mp", 2) == pytest.approx(2 * 1632 * 1224 / 1e6)


_BUSY = """\
import time
kept = bytearray(200 * 2**20)
begin = time.process_time()
while time.process_time() < begin + 1:
    pass
"""
_PARENT = f"""\
import subprocess, sys, time
subprocess.run([sys.executable, "-c", {_BUSY!r}])
time.sleep(0.5)
"""


@pytest.mark.slow
def test_the_time_and_memory_of_children_count(tmp_path: Path) -> None:
    before = os.sched_getaffinity(0)
    trace = watched([sys.executable, "-c", _PARENT], 1, {}, tmp_path / "log", tmp_path)
    assert trace.cpu[-1] > 0.5
    assert trace.peak_rss > 200 * 2**20
    assert trace.cpu_seconds(trace.started, trace.ended) == pytest.approx(trace.cpu[-1], abs=0.5)
    assert os.sched_getaffinity(0) == before


def test_a_command_that_fails_ends_the_benchmark_with_its_last_line(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="ended with 1: out of film"):
        watched([sys.executable, "-c", "raise SystemExit('out of film')"], 1, {}, tmp_path / "log", tmp_path)


def test_the_trainer_is_compared_with_the_loop_of_its_round() -> None:
    actual = results()
    actual.training = [
        TrainingRate(contender="jobs/train.py", round=1, images_per_second=9, data_wait=0.01, other_cores=0),
        TrainingRate(contender="bare loop", round=1, images_per_second=10, other_cores=0),
        TrainingRate(contender="bare loop", round=0, images_per_second=99, other_cores=0),
        TrainingRate(contender="bare loop", round=1, cores=2, images_per_second=99, other_cores=0),
    ]
    assert "| jobs/train.py | 1 | 2 | 9.0 | **0.90** | 1.00% | 0.0 |" in training_table(actual)


@pytest.mark.slow
def test_the_bare_loop_trains_the_networks_of_the_configurations() -> None:
    small = ["train.batch=2", "data.crop=64"]
    for name in ("faithful", "iizuka"):
        config = load(TrainConfig, str(IMPORT_ROOT / "configs" / "train" / f"{name}.yaml"), small)
        assert train(BareLoop(config=config, warm=0, steps=1)) > 0
