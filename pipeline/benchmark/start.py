"""The start of the job: seconds to its first picture and to its end, with Ray and without."""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from pipeline import IMPORT_ROOT
from pipeline.benchmark.process_tree import watched
from pipeline.errors import ConfigError

ENGINES = ("processes", "ray")
JOB = IMPORT_ROOT / "jobs" / "colorize_bucket.py"


def compare_starts(
    samples: Path, folder: Path, counts: list[int], rounds: int, overrides: list[str]
) -> list[dict[str, Any]]:
    """Colour the first `count` samples, for each of the counts, with every engine in turn.

    A row for each count and engine, with the medians of the rounds in seconds: `first_picture` and `whole`
    of the wall clock from the command on, `cpu` of all processes. `other_cores` is what the rest of the
    machine used meanwhile: on a busy machine only the ratios of the engines, and CPU seconds, say something.

    Raises:
        RunError: a job failed; the message says how. ConfigError: no samples, no Linux, bad overrides.
    """
    if not samples.is_dir():
        raise ConfigError(f"there is no folder {samples} with photographs")
    folder.mkdir(parents=True, exist_ok=True)
    cases = [(count, engine) for count in counts for engine in ENGINES]
    times: dict[tuple[int, str], list[dict[str, float]]] = {case: [] for case in cases}
    for number in range(rounds):
        for case in cases if number % 2 == 0 else reversed(cases):
            times[case].append(_measure(samples, folder, *case, overrides))
    return [
        {"images": count, "engine": engine} | _medians(of_case) for (count, engine), of_case in times.items()
    ]


def _medians(times: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(statistics.median(one[name] for one in times), 2) for name in times[0]}


def _measure(samples: Path, folder: Path, count: int, engine: str, overrides: list[str]) -> dict[str, float]:
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        out = Path(scratch) / "out"
        places = ["--input", str(samples.resolve()), "--output", str(out.resolve()), "--limit", str(count)]
        settings = [f"run.engine={engine}", 'plan.include=["*.jpg", "*.png", "*.tif"]', *overrides]
        sets = [word for setting in settings for word in ("--set", setting)]
        cores = len(os.sched_getaffinity(0))
        trace = watched(
            [sys.executable, str(JOB), *places, *sets], cores, {}, folder / "start.log", Path(scratch)
        )
        first = min(file.stat().st_mtime for file in (out / "images").rglob("*") if file.is_file())
    return {
        "first_picture": first - trace.started,
        "whole": trace.ended - trace.started,
        "cpu": trace.cpu[-1],
        "other_cores": trace.other_cores(),
    }
