"""Compare two versions of the project: stages, whole jobs and the start, in turn on the same machine.

    git worktree add ../before COMMIT
    python -m tests.support.before_after ../before --rounds 2
    python -m tests.support.before_after ../before --set report.gallery=false --set report.doubt=false

--set changes only the present version, for example to leave out what the other version does not do.

Each version runs with its own code and this Python, so both use today's packages. It prints a Markdown
table: medians of the rounds, and how many times faster the present version is. CPU times are those of all
processes of a command. Nothing else may run at the same time; "other cores" shows what did.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from pipeline.benchmark.parts import middle
from pipeline.benchmark.process_tree import Trace, watched
from pipeline.benchmark.sample_photographs import deep_photographs, photographs
from pipeline.benchmark.task import SOURCE_DATE_EPOCH, Task, read_report
from pipeline.errors import RunError

AFTER = Path(__file__).resolve().parents[2]
_SAMPLES = AFTER / "tests" / "photos"
#: Of the whole jobs: size, photographs, and whether they are TIFFs of 16 bits, in and out.
_JOBS = {
    "512 x 512, JPEG": ("512", 160, False),
    "12 MP, JPEG": ("12mp", 24, False),
    "12 MP, TIFF of 16 bits": ("12mp", 12, True),
}
_STARTS = (1, 20)
_KINDS = ["*.jpg", "*.png", "*.tif"]


class Figure(NamedTuple):
    """What is measured, and in which unit; smaller is better."""

    what: str
    unit: str


class Measuring:
    """One version; `folder` is for photographs, results and logs."""

    def __init__(self, version: Path, folder: Path, settings: list[str]) -> None:
        self.version, self.folder, self.settings = version, folder, settings
        self.other_cores: list[float] = []

    def figures(self) -> Iterator[tuple[Figure, float]]:
        """Measure everything once."""
        for size in ("512", "12mp"):
            yield from self._stages(size)
        for name, (size, count, deep) in _JOBS.items():
            yield Figure(f"whole job, {name}", "CPU ms a photograph"), self._job(size, count, deep)
        for count in _STARTS:
            yield from self._start(count)

    def _watched(self, command: list[str], cores: int) -> Trace:
        given = {"PYTHONPATH": str(self.version), "SOURCE_DATE_EPOCH": SOURCE_DATE_EPOCH}
        if cores == 1:
            given["OMP_NUM_THREADS"] = "1"
        shutil.rmtree(self.folder / "out", ignore_errors=True)
        trace = watched([sys.executable, *command], cores, given, self.folder / "log", self.version)
        self.other_cores.append(trace.other_cores())
        return trace

    def _stages(self, size: str) -> Iterator[tuple[Figure, float]]:
        source = photographs(_SAMPLES, self.folder, size, 1)
        task = Task(source=source, output=self.folder / "out", workers=1, overrides=())
        self._watched(["-m", "pipeline.benchmark.stages", task.model_dump_json()], 1)
        parts = read_report(self.folder / "log").parts
        parts.pop("megapixels")
        for name, seconds in parts.items():
            yield Figure(f"{name}, {size}", "CPU ms"), 1000 * seconds

    def _colorize(self, source: Path, *settings: str) -> Trace:
        sets = [word for one in ("report.sample=0", *settings, *self.settings) for word in ("--set", one)]
        places = ["--input", str(source), "--output", str(self.folder / "out")]
        return self._watched([str(self.version / "jobs" / "colorize_bucket.py"), *places, *sets], cores())

    def _job(self, size: str, count: int, deep: bool) -> float:
        make: Callable[[Path, Path, str, int], Path] = deep_photographs if deep else photographs
        source = make(_SAMPLES, self.folder, size, count)
        trace = self._colorize(source, f"run.workers={cores()}", *(["output.format=tiff"] if deep else []))
        return middle(trace, self.folder / "out" / "images", ".tif" if deep else ".jpg", count)["cpu"]

    def _start(self, count: int) -> Iterator[tuple[Figure, float]]:
        trace = self._colorize(_SAMPLES, f"plan.limit={count}", f"plan.include={json.dumps(_KINDS)}")
        written = [file.stat().st_mtime for file in (self.folder / "out/images").rglob("*") if file.is_file()]
        yield Figure(f"first picture of {count}", "s"), min(written) - trace.started
        yield Figure(f"whole command, {count}", "s"), trace.ended - trace.started


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def table(values: dict[Figure, dict[str, list[float]]]) -> str:
    """Markdown: a row for each figure."""
    rows = ["| | unit | before | after | times faster |", "|---|---|---:|---:|---:|"]
    for figure, of in values.items():
        before, after = (
            statistics.median(of[name]) if of[name] else float("nan") for name in ("before", "after")
        )
        rows.append(f"| {figure.what} | {figure.unit} | {before:.1f} | {after:.1f} | {before / after:.2f} |")
    return "\n".join(rows)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("before", type=Path, help="a checkout of the other version")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings")
    args = parser.parse_args()
    if not (args.before / "jobs" / "colorize_bucket.py").is_file():
        parser.error(f"{args.before} is no checkout of this project")
    values: dict[Figure, dict[str, list[float]]] = defaultdict(lambda: {"before": [], "after": []})
    with tempfile.TemporaryDirectory() as scratch:
        versions = {"before": args.before.resolve(), "after": AFTER}
        settings: dict[str, list[str]] = {"before": [], "after": args.settings}
        all_measuring = {name: Measuring(v, Path(scratch), settings[name]) for name, v in versions.items()}
        for number in range(args.rounds):
            for name in sorted(versions, reverse=number % 2 == 0):
                print(f"round {number + 1}, {name} ...", file=sys.stderr, flush=True)
                for figure, value in all_measuring[name].figures():
                    values[figure][name].append(value)
    print(table(values))
    others = max(max(one.other_cores) for one in all_measuring.values())
    print(f"\nOther programs took at most {others:.2f} cores.", file=sys.stderr)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RunError as error:
        sys.exit(f"error: {error}")
