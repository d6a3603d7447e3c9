"""All contenders in all cells, in turn, so that a machine that drifts is as fast or slow for each."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.benchmark.contenders import CONTENDERS, ON_GPUS, OURS, PLAIN, RAY, SAME_WORK, run
from pipeline.benchmark.results import Cell, Results
from pipeline.benchmark.sample_photographs import count_of, photographs
from pipeline.engine.cluster import cores
from pipeline.errors import ConfigError

_GROWING = (OURS, SAME_WORK, PLAIN, RAY)


@dataclass(frozen=True)
class Request:
    """What to measure. counts: of 512 x 512, ascending; the first is also what the other sizes go by."""

    samples: Path
    folder: Path
    sizes: list[str]
    counts: list[int]
    workers: list[int]
    contenders: list[str]
    rounds: int
    overrides: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if min(*self.counts, *self.workers, self.rounds) < 1:
            raise ConfigError("counts, workers and rounds must be at least 1")
        if max(self.workers) > cores():
            raise ConfigError(f"{max(self.workers)} workers want a core each; this process may use {cores()}")


def default_workers(quick: bool) -> list[int]:
    """One, and one per core; the latter alone where it shall be quick."""
    return sorted({cores()} if quick else {1, cores()})


def default_contenders() -> list[str]:
    """All but the job on GPUs where there is none."""
    import torch  # late: a typing error is told at once

    return [name for name in CONTENDERS if name not in ON_GPUS or torch.cuda.is_available()]


def cells(request: Request) -> list[Cell]:
    """Every size on every number of workers."""
    return [
        Cell(size=size, count=count_of(size, request.counts[0]), workers=workers)
        for size in request.sizes
        for workers in request.workers
    ]


def growth_cells(request: Request) -> list[Cell]:
    """The further counts, on the most workers."""
    return [Cell(size="512", count=count, workers=max(request.workers)) for count in request.counts[1:]]


def _turns(request: Request) -> Iterator[tuple[Cell, str, int]]:
    """Contenders in turn, every second round backwards: what is slow only early or late hits all alike."""
    for cell in cells(request):
        for round_ in range(request.rounds):
            order = request.contenders if round_ % 2 == 0 else request.contenders[::-1]
            yield from ((cell, name, round_) for name in order)
    for cell in growth_cells(request):
        yield from ((cell, name, 0) for name in request.contenders if name in _GROWING)


def compare(request: Request, results: Results, file: Path) -> None:
    """Measure what `results` does not have, and write `file` after each.

    Raises:
        ConfigError: nothing to cut photographs from. RunError: a contender failed; the others' results stay.
    """
    todo = [turn for turn in _turns(request) if not results.has(*turn)]
    for number, (cell, name, round_) in enumerate(todo, 1):
        contender = CONTENDERS[name]
        what = f"{contender.title}, {cell.count} of {cell.size}, {cell.workers} worker(s)"
        _say(f"[{number}/{len(todo)}] {what} ...")
        source = photographs(request.samples, request.folder, cell.size, cell.count)
        done = run(contender, cell, round_, source, request.folder, request.overrides)
        results.runs.append(done)
        results.save(file)
        _say(f"    {cell.count / done.run_seconds:.2f} images/s, others took {done.other_cores:.1f} cores")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
