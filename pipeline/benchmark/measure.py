"""What `jobs/benchmark.py` does: measure what is asked for and missing, then write the page."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from pipeline.benchmark.compare import Request, compare
from pipeline.benchmark.page import write_page
from pipeline.benchmark.results import Results, open_results, read_results
from pipeline.benchmark.stages import cold_start, measure_stages
from pipeline.benchmark.tables import ratio_table, stage_table, training_table
from pipeline.benchmark.trainer import measure_training
from pipeline.storage import refuse_overlap


@dataclass(frozen=True)
class Wanted:
    """request: None measures nothing and only writes the page of what was measured before."""

    folder: Path
    page: Path | None
    request: Request | None
    command: str
    stages: bool = False
    training: bool = False
    plots: bool = True


def run_benchmark(wanted: Wanted) -> Results:
    """Measure, save after every figure, write the page.

    Raises:
        ConfigError: other figures than these are in the folder, or nothing to measure with.
        RunError: something that was measured failed; what was measured before it stays.
    """
    file = wanted.folder / "results.json"
    request = wanted.request
    if request is None:
        results = read_results(file)
    else:
        refuse_overlap(str(request.samples), str(wanted.folder), own=())
        wanted.folder.mkdir(parents=True, exist_ok=True)
        results = open_results(file, dict(one.split("=", 1) for one in request.overrides))
        results.commands.append(wanted.command)
        results.dates.append(time.strftime("%Y-%m-%d", time.gmtime()))
        compare(request, results, file)
        if wanted.stages and not results.stages:
            results.stages = measure_stages(request.samples, wanted.folder, request.overrides)
            results.cold_start = cold_start()
        results.save(file)
        if wanted.training and not results.training:
            results.training = measure_training(request.samples, wanted.folder, request.rounds)
        results.save(file)
    write_page(results, wanted.page or wanted.folder / "performance.md", plots=wanted.plots)
    if results.runs:
        print(ratio_table(results))
    if results.stages:
        print(stage_table(results))
    if results.training:
        print(training_table(results))
    return results
