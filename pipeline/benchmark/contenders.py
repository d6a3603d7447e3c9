"""What is compared: the command of each, and what is read from what it leaves."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipeline import IMPORT_ROOT
from pipeline.benchmark.process_tree import Trace, watched
from pipeline.benchmark.results import Cell, Run, commit
from pipeline.benchmark.sample_photographs import megapixels
from pipeline.benchmark.task import SOURCE_DATE_EPOCH, Said, Task, read_said
from pipeline.errors import RunError

_JOB = IMPORT_ROOT / "jobs" / "colorize_bucket.py"


@dataclass(frozen=True)
class Contender:
    """`command` for a task; `window` is when it began its first and ended its last image; `images` is the
    folder of its outputs; title is for people."""

    name: str
    title: str
    command: Callable[[Task], list[str]]
    window: Callable[[Task, Path], tuple[float, float]]
    images: Callable[[Task], Path]
    comparable: bool = False  # whether its outputs are to be ours to the byte


def _module(name: str, *before: str) -> Callable[[Task], list[str]]:
    return lambda task: [
        sys.executable, "-m", f"pipeline.benchmark.{name}", *before, task.model_dump_json()
    ]  # fmt: skip


def _job(*more: str) -> Callable[[Task], list[str]]:
    def command(task: Task) -> list[str]:
        sets = ["report.sample=0", f"run.workers={task.workers}", *more, *task.overrides]
        places = ["--input", str(task.source), "--output", str(task.output)]
        return [sys.executable, str(_JOB), *places, *(f"--set={one}" for one in sets)]

    return command


def _said(task: Task, log: Path) -> tuple[float, float]:
    said = read_said(log)
    return said.began, said.ended


def _job_window(task: Task, log: Path) -> tuple[float, float]:
    """The last image's time from the ledger; how long the work before it took from the summary."""
    parts = task.output.glob("ledger/*/part-*.parquet")
    ended = max(t for part in parts for t in pq.read_table(part)["finished_at"].to_pylist()).timestamp()
    return float(ended - summary(task.output)["seconds"]["run"]), float(ended)


def summary(output: Path) -> dict[str, Any]:
    """Of the job's run."""
    found: dict[str, Any] = json.loads(next(output.glob("runs/*/summary.json")).read_text())
    return found


OURS, FLOOR, SAME_WORK, PLAIN, RAY = "ours", "floor", "same_work", "plain", "ray"
STAGED, COMPOSING = "ours_gpu", "ours_gpu_compose"
ON_GPUS = (STAGED, COMPOSING)
"""These use all GPUs and all cores, whatever the cell's workers."""

CONTENDERS: dict[str, Contender] = {
    one.name: one
    for one in (
        Contender(
            OURS, "Fiat Color", _job("run.topology=fused"), _job_window,
            lambda task: task.output / "images", True,
        ),
        Contender(
            STAGED, "Fiat Color on GPUs", _job("run.topology=staged", "run.workers=null"), _job_window,
            lambda task: task.output / "images",
        ),
        Contender(
            COMPOSING, "Fiat Color on GPUs, composing there", _job("run.compose=gpu", "run.workers=null"),
            _job_window, lambda task: task.output / "images",
        ),
        Contender(
            SAME_WORK, "loop, same work", _module("loops", SAME_WORK), _said, lambda task: task.output, True
        ),
        Contender(PLAIN, "loop, plain", _module("loops", PLAIN), _said, lambda task: task.output),
        Contender(RAY, "Ray's script", _module("ray_script"), _said, lambda task: task.output),
        Contender(FLOOR, "sum of parts", _module("floor"), _said, lambda task: task.output),
    )
}  # fmt: skip


def run(
    contender: Contender, cell: Cell, round_: int, source: Path, folder: Path, overrides: list[str]
) -> Run:
    """One contender in one cell; its outputs are counted, digested and removed.

    Raises:
        RunError: it failed, or did not write every image.
    """
    output = folder / "out"
    for old in (output, output.with_name("out-ready")):
        shutil.rmtree(old, ignore_errors=True)
    workers = cell.workers
    task = Task(source=source, output=output, workers=workers, overrides=overrides)
    use = 1 if contender.name == FLOOR else 10_000 if contender.name in ON_GPUS else workers
    log = folder / f"{contender.name}.log"
    environment = {
        "PYTHONPATH": str(IMPORT_ROOT),
        "SOURCE_DATE_EPOCH": SOURCE_DATE_EPOCH,
        "OMP_NUM_THREADS": "1",
    }
    trace = watched(contender.command(task), use, environment, log, IMPORT_ROOT)
    measured = _floor if contender.name == FLOOR else _colored
    found = measured(contender, cell, round_, task, trace, log)
    found.commit, found.at = commit(), time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    shutil.rmtree(output, ignore_errors=True)
    return found


def _colored(contender: Contender, cell: Cell, round_: int, task: Task, trace: Trace, log: Path) -> Run:
    began, ended = contender.window(task, log)
    files = sorted(path for path in contender.images(task).rglob("*") if path.is_file())
    if len(files) != cell.count:
        raise RunError(f"{contender.title} wrote {len(files)} of {cell.count} images (see {log})")
    return Run(
        cell=cell,
        contender=contender.name,
        round=round_,
        megapixels=megapixels(cell.size, cell.count),
        start_seconds=began - trace.started,
        run_seconds=ended - began,
        wall_seconds=trace.ended - trace.started,
        cpu_run_seconds=trace.cpu_seconds(began, ended),
        cpu_seconds=trace.cpu[-1],
        peak_rss=trace.peak_rss,
        other_cores=trace.other_cores(),
        digest=_digest(files) if contender.comparable else None,
        gpus=_gpus() if contender.name in ON_GPUS else 0,
    )


def _gpus() -> int:
    import torch  # late: a typing error is told at once

    return torch.cuda.device_count()


def _floor(contender: Contender, cell: Cell, round_: int, task: Task, trace: Trace, log: Path) -> Run:
    said: Said = read_said(log)
    assert said.seconds is not None
    assert said.cpu_seconds is not None
    return Run(
        cell=cell,
        contender=contender.name,
        round=round_,
        megapixels=megapixels(cell.size, cell.count),
        start_seconds=0,
        run_seconds=said.seconds * cell.count / cell.workers,
        wall_seconds=said.seconds * cell.count / cell.workers,
        cpu_run_seconds=said.cpu_seconds * cell.count,
        cpu_seconds=said.cpu_seconds * cell.count,
        peak_rss=trace.peak_rss,
        other_cores=trace.other_cores(),
    )


def _digest(files: list[Path]) -> str:
    """Of names and bytes."""
    whole = hashlib.sha256()
    for path in files:
        whole.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()
