"""A whole benchmark: measure what the results lack, then write the page."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from pipeline.benchmark.compare import Comparison, compare
from pipeline.benchmark.page import write_page
from pipeline.benchmark.results import Results, open_results, read_results
from pipeline.benchmark.stages import cold_start, measure_stages
from pipeline.benchmark.tables import ratio_table, stage_table, training_table
from pipeline.benchmark.trainer import measure_training
from pipeline.storage import refuse_overlap


@dataclass(frozen=True)
class BenchmarkRequest:
    """What `jobs/benchmark.py` does. comparison: None measures nothing and only writes the page of earlier
    results."""

    folder: Path
    page: Path | None
    comparison: Comparison | None
    command: str
    stages: bool = False
    training: bool = False
    plots: bool = True


def run_benchmark(request: BenchmarkRequest) -> Results:
    """Measure, save after every figure, write the page.

    Raises:
        ConfigError: other figures than these are in the folder, or nothing to measure with.
        RunError: something that was measured failed; what was measured before it stays.
    """
    file = request.folder / "results.json"
    comparison = request.comparison
    if comparison is None:
        results = read_results(file)
    else:
        refuse_overlap(str(comparison.samples), str(request.folder), own=())
        request.folder.mkdir(parents=True, exist_ok=True)
        results = open_results(file, dict(one.split("=", 1) for one in comparison.overrides))
        results.commands.append(request.command)
        results.dates.append(time.strftime("%Y-%m-%d", time.gmtime()))
        compare(comparison, results, file)
        if request.stages and not results.stages:
            results.stages = measure_stages(comparison.samples, request.folder, comparison.overrides)
            results.cold_start = cold_start()
        results.save(file)
        if request.training and not results.training:
            results.training = measure_training(comparison.samples, request.folder, comparison.rounds)
        results.save(file)
    write_page(results, request.page or request.folder / "performance.md", plots=request.plots)
    if results.runs:
        print(ratio_table(results))
    if results.stages:
        print(stage_table(results))
    if results.training:
        print(training_table(results))
    return results
