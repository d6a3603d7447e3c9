"""The contenders: the command of each, and how to read its results."""

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
from pipeline.benchmark.task import SOURCE_DATE_EPOCH, Task, read_report
from pipeline.errors import RunError
from pipeline.ledger.keys import part_key, summary_key

_JOB = IMPORT_ROOT / "jobs" / "colorize_bucket.py"


@dataclass(frozen=True)
class Contender:
    """One way to colour a folder. `command` for a task; `window`: start of the first and end of the last
    image; `images`: the folder of its outputs; `title`: its name in tables."""

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
        sets = [
            "report.sample=0",
            "report.gallery=false",
            f"run.workers={task.workers}",
            *more,
            *task.overrides,
        ]
        places = ["--input", str(task.source), "--output", str(task.output)]
        return [sys.executable, str(_JOB), *places, *(f"--set={one}" for one in sets)]

    return command


def _reported(task: Task, log: Path) -> tuple[float, float]:
    report = read_report(log)
    return report.began, report.ended


def _job_window(task: Task, log: Path) -> tuple[float, float]:
    """The end from the ledger's last image; the start from that and the seconds in the summary."""
    parts = task.output.glob(part_key("*", "*"))
    ended = max(t for part in parts for t in pq.read_table(part)["finished_at"].to_pylist()).timestamp()
    return float(ended - summary(task.output)["seconds"]["run"]), float(ended)


def summary(output: Path) -> dict[str, Any]:
    """The summary of the job's run."""
    content: dict[str, Any] = json.loads(next(output.glob(summary_key("*"))).read_text())
    return content


OURS, FLOOR, SAME_WORK, PLAIN, RAY = "ours", "floor", "same_work", "plain", "ray"
STAGED, COMPOSING = "ours_gpu", "ours_gpu_compose"
ON_GPUS = (STAGED, COMPOSING)
"""These use all GPUs and all cores, whatever the cell's workers."""

CONTENDERS: dict[str, Contender] = {
    one.name: one
    for one in (
        Contender(
            OURS, "Fiat Color", _job("run.topology=fused", "run.engine=ray"), _job_window,
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
            SAME_WORK, "loop, same work", _module("loops", SAME_WORK), _reported,
            lambda task: task.output, True,
        ),
        Contender(PLAIN, "loop, plain", _module("loops", PLAIN), _reported, lambda task: task.output),
        Contender(RAY, "Ray's script", _module("ray_script"), _reported, lambda task: task.output),
        Contender(FLOOR, "sum of parts", _module("sum_of_parts"), _reported, lambda task: task.output),
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
    result = measured(contender, cell, round_, task, trace, log)
    shutil.rmtree(output, ignore_errors=True)
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return result.model_copy(update={"commit": commit(), "at": at})


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
    import torch  # late, so that bad arguments are reported at once

    return torch.cuda.device_count()


def _floor(contender: Contender, cell: Cell, round_: int, task: Task, trace: Trace, log: Path) -> Run:
    report = read_report(log)
    assert report.seconds is not None
    assert report.cpu_seconds is not None
    return Run(
        cell=cell,
        contender=contender.name,
        round=round_,
        megapixels=megapixels(cell.size, cell.count),
        start_seconds=0,
        run_seconds=report.seconds * cell.count / cell.workers,
        wall_seconds=report.seconds * cell.count / cell.workers,
        cpu_run_seconds=report.cpu_seconds * cell.count,
        cpu_seconds=report.cpu_seconds * cell.count,
        peak_rss=trace.peak_rss,
        other_cores=trace.other_cores(),
    )


def _digest(files: list[Path]) -> str:
    """Of names and bytes."""
    whole = hashlib.sha256()
    for path in files:
        whole.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()
