"""Run all contenders in all cells, in turns, so that changes in the machine's speed affect all of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.benchmark.contenders import CONTENDERS, ON_GPUS, OURS, PLAIN, RAY, SAME_WORK, run
from pipeline.benchmark.results import Cell, Results
from pipeline.benchmark.sample_photographs import count_of, photographs
from pipeline.engine.machine import cores
from pipeline.errors import ConfigError

_GROWING = (OURS, SAME_WORK, PLAIN, RAY)


@dataclass(frozen=True)
class Comparison:
    """What to compare. counts: photographs of 512 x 512, ascending; the first also decides the counts of the
    other sizes."""

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
            raise ConfigError(f"{max(self.workers)} workers need a core each; this process may use {cores()}")


def default_workers(quick: bool) -> list[int]:
    """One, and one per core; the latter alone where it shall be quick."""
    return sorted({cores()} if quick else {1, cores()})


def default_contenders() -> list[str]:
    """All but the job on GPUs where there is none."""
    import torch  # late, so that bad arguments are reported at once

    return [name for name in CONTENDERS if name not in ON_GPUS or torch.cuda.is_available()]


def cells(comparison: Comparison) -> list[Cell]:
    """Every size on every number of workers."""
    return [
        Cell(size=size, count=count_of(size, comparison.counts[0]), workers=workers)
        for size in comparison.sizes
        for workers in comparison.workers
    ]


def growth_cells(comparison: Comparison) -> list[Cell]:
    """The further counts, on the most workers."""
    return [Cell(size="512", count=count, workers=max(comparison.workers)) for count in comparison.counts[1:]]


def _turns(comparison: Comparison) -> Iterator[tuple[Cell, str, int]]:
    """Contenders in turn, every second round backwards: what is slow only early or late affects all alike."""
    for cell in cells(comparison):
        for round_ in range(comparison.rounds):
            order = comparison.contenders if round_ % 2 == 0 else comparison.contenders[::-1]
            yield from ((cell, name, round_) for name in order)
    for cell in growth_cells(comparison):
        yield from ((cell, name, 0) for name in comparison.contenders if name in _GROWING)


def compare(comparison: Comparison, results: Results, file: Path) -> None:
    """Measure what `results` does not have, and write `file` after each.

    Raises:
        ConfigError: nothing to cut photographs from. RunError: a contender failed; the others' results stay.
    """
    todo = [turn for turn in _turns(comparison) if not results.has(*turn)]
    for number, (cell, name, round_) in enumerate(todo, 1):
        contender = CONTENDERS[name]
        what = f"{contender.title}, {cell.count} of {cell.size}, {cell.workers} worker(s)"
        _print(f"[{number}/{len(todo)}] {what} ...")
        source = photographs(comparison.samples, comparison.folder, cell.size, cell.count)
        done = run(contender, cell, round_, source, comparison.folder, comparison.overrides)
        results.runs.append(done)
        results.save(file)
        _print(f"    {cell.count / done.run_seconds:.2f} images/s, others took {done.other_cores:.1f} cores")


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
