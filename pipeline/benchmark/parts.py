"""Compare the whole job with the sum of its parts, and with a loop that does the same work, in CPU seconds.

CPU seconds say something on a busy machine too. What start and end take is left out: what counts is between
a quarter and three quarters of the results.
"""

from __future__ import annotations

import shutil
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import IMPORT_ROOT
from pipeline.benchmark.process_tree import INTERVAL, Trace, watched
from pipeline.benchmark.sample_photographs import deep_photographs, photographs
from pipeline.benchmark.start import JOB
from pipeline.benchmark.task import SOURCE_DATE_EPOCH, Task, read_report
from pipeline.engine.machine import KEEP_FREED_MEMORY
from pipeline.errors import ConfigError, RunError

PARTS = ("decode", "network", "compose", "encode")
"""What no program that does this work can leave out."""
BESIDE = ("doubt", "checksums", "files")
"""What the job does besides, as far as it can be done alone."""


@dataclass(frozen=True)
class Kind:
    """Photographs to measure with. size: see `sample_photographs.SIZES`. deep: as TIFF of 16 bits, in and
    out."""

    size: str
    count: int
    deep: bool = False

    @property
    def settings(self) -> list[str]:
        return ["output.format=tiff"] if self.deep else []


KINDS = {
    "512": Kind("512", 120),
    "12mp": Kind("12mp", 24),
    "12mp-16-bit": Kind("12mp", 12, deep=True),
}
_SUFFIXES = {False: ".jpg", True: ".tif"}
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def compare_parts(
    samples: Path, folder: Path, kinds: list[str], workers: int, rounds: int, overrides: list[str]
) -> list[dict[str, Any]]:
    """A row for each kind; all times are CPU milliseconds a photograph, medians of the rounds.

    `parts` and their `sum`; `beside`: what else the job does that can be measured alone. `whole` is the job,
    `loop` the loop that does the same work, each with its time in the kernel and the peak memory in MiB.
    `sum_over_whole` and `loop_over_whole` are better the larger they are.

    Raises:
        RunError: something that was measured failed. ConfigError: no samples, no Linux, bad overrides.
    """
    if not samples.is_dir():
        raise ConfigError(f"there is no folder {samples} with photographs")
    folder.mkdir(parents=True, exist_ok=True)
    return [_Measuring(samples, folder, name, workers, overrides).row(rounds) for name in kinds]


class _Measuring:
    """One kind of photographs; what is written lies below `folder` until the next is."""

    def __init__(self, samples: Path, folder: Path, name: str, workers: int, overrides: list[str]) -> None:
        self.name, self.kind, self.workers = name, KINDS[name], workers
        self.overrides = [*self.kind.settings, *overrides]
        self.folder, self.output = folder, folder / "out"
        make = deep_photographs if self.kind.deep else photographs
        self.source = make(samples, folder, self.kind.size, self.kind.count)

    def row(self, rounds: int) -> dict[str, Any]:
        """See `compare_parts`."""
        parts, wholes, loops = [], [], []
        for _ in range(rounds):
            parts.append(self._parts())
            wholes.append(self._job())
            loops.append(self._loop())
        shutil.rmtree(self.output, ignore_errors=True)
        alone, whole, loop = (_medians(ones) for ones in (parts, wholes, loops))
        total = sum(alone[name] for name in PARTS)
        return {
            "photographs": self.name,
            "count": self.kind.count,
            "workers": self.workers,
            "parts": {name: alone[name] for name in PARTS},
            "sum": round(total, 1),
            "beside": {name: alone[name] for name in BESIDE},
            "whole": whole,
            "loop": loop,
            "sum_over_whole": round(total / whole["cpu"], 3),
            "loop_over_whole": round(loop["cpu"] / whole["cpu"], 3),
        }

    def _task(self, workers: int) -> str:
        overrides = tuple(self.overrides)
        task = Task(source=self.source, output=self.output, workers=workers, overrides=overrides)
        return task.model_dump_json()

    def _parts(self) -> dict[str, float]:
        command = [sys.executable, "-m", "pipeline.benchmark.parts_alone", self._task(1)]
        self._watched(command)
        return {name: 1000 * seconds for name, seconds in read_report(self._log).parts.items()}

    def _loop(self) -> dict[str, float]:
        command = [sys.executable, "-m", "pipeline.benchmark.loops", "same_work", self._task(self.workers)]
        return self._measured(command)

    def _job(self) -> dict[str, float]:
        sets = [
            "report.sample=0",
            "report.gallery=false",
            "run.engine=processes",
            f"run.workers={self.workers}",
            *self.overrides,
        ]
        places = ["--input", str(self.source), "--output", str(self.output)]
        return self._measured([sys.executable, str(JOB), *places, *(f"--set={one}" for one in sets)])

    def _measured(self, command: list[str]) -> dict[str, float]:
        trace = self._watched(command)
        return middle(trace, self.output, _SUFFIXES[self.kind.deep], self.kind.count)

    @property
    def _log(self) -> Path:
        return self.folder / "parts.log"

    def _watched(self, command: list[str]) -> Trace:
        """All with the memory and the one thread of a worker."""
        shutil.rmtree(self.output, ignore_errors=True)
        given = {**KEEP_FREED_MEMORY, **_ONE_THREAD, "PYTHONPATH": str(IMPORT_ROOT)}
        given["SOURCE_DATE_EPOCH"] = SOURCE_DATE_EPOCH
        return watched(command, self.workers, given, self._log, IMPORT_ROOT)


def middle(trace: Trace, output: Path, suffix: str, count: int) -> dict[str, float]:
    """CPU milliseconds a photograph, in all and in the kernel, and the peak memory in MiB, of a command that
    has written `count` results below `output`: between a quarter and three quarters of them.

    Raises RunError where there are fewer, or where the readings of the CPU time are too far apart for what
    was to be measured.
    """
    ended = sorted(file.stat().st_mtime for file in output.rglob(f"*{suffix}"))
    if len(ended) != count:
        raise RunError(f"there are {len(ended)} results of {count} photographs in {output}")
    first, last = count // 4, 3 * count // 4
    window, of_each = (ended[first], ended[last]), 1000 / (last - first)
    if window[1] - window[0] < 2 * INTERVAL or window[1] > trace.times[-1]:
        seconds = window[1] - window[0]
        raise RunError(f"{last - first} photographs took {seconds:.2f} s, too short to measure: take more")
    return {
        "cpu": trace.cpu_seconds(*window) * of_each,
        "kernel": trace.system_seconds(*window) * of_each,
        "peak_mib": trace.peak_rss / 2**20,
    }


def _medians(ones: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(statistics.median(one[name] for one in ones), 1) for name in ones[0]}
