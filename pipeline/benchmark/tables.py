"""Results as Markdown."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.benchmark.contenders import CONTENDERS, FLOOR, OURS, PLAIN, RAY, SAME_WORK
from pipeline.benchmark.results import Cell, Results, Run

_NAMES = {"512": "512 x 512", "2mp": "2 MP", "12mp": "12 MP", "mixed": "mixed"}
_AGAINST = (PLAIN, SAME_WORK, RAY, FLOOR)


@dataclass(frozen=True)
class Row:
    """The rounds of one contender in one cell together; rates are of all images over all the time."""

    cell: Cell
    contender: str
    images_per_second: float
    megapixels_per_second: float
    cpu_seconds_per_image: float
    start_seconds: float
    whole_images_per_second: float
    peak_rss: int
    other_cores: float
    gpus: int


def rows(results: Results) -> list[Row]:
    """By cell in the order of measurement, contenders in the order of `CONTENDERS`."""
    cells = dict.fromkeys(run.cell for run in results.runs)
    return [
        _row(cell, name, runs)
        for cell in sorted(cells, key=lambda cell: (list(_NAMES).index(cell.size), cell.count, cell.workers))
        for name in CONTENDERS
        if (runs := results.of(cell, name))
    ]


def _row(cell: Cell, name: str, runs: list[Run]) -> Row:
    images, seconds = cell.count * len(runs), sum(run.run_seconds for run in runs)
    return Row(
        cell=cell,
        contender=name,
        images_per_second=images / seconds,
        megapixels_per_second=sum(run.megapixels for run in runs) / seconds,
        cpu_seconds_per_image=sum(run.cpu_run_seconds for run in runs) / images,
        start_seconds=sum(run.start_seconds for run in runs) / len(runs),
        whole_images_per_second=images / sum(run.wall_seconds for run in runs),
        peak_rss=max(run.peak_rss for run in runs),
        other_cores=sum(run.other_cores for run in runs) / len(runs),
        gpus=max(run.gpus for run in runs),
    )


def _markdown(head: list[str], body: list[list[str]], left: int) -> str:
    """A table whose first `left` columns are words."""
    rule = ["---"] * left + ["---:"] * (len(head) - left)
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, rule, *body])


def rate_table(results: Results) -> str:
    """Every contender in every cell."""
    head = [
        "photographs", "images", "workers", "", "images/s", "MP/s", "CPU s/image", "start, s",
        "images/s with start", "peak memory, MiB", "others, cores",
    ]  # fmt: skip
    return _markdown(head, [_rates(row) for row in rows(results)], 4)


def _rates(row: Row) -> list[str]:
    floor = row.contender == FLOOR
    title = CONTENDERS[row.contender].title
    if row.gpus:
        title += f" ({row.images_per_second / row.gpus:.1f} images/s per GPU)"
    return [
        _NAMES[row.cell.size],
        str(row.cell.count),
        str(row.cell.workers),
        title,
        f"{row.images_per_second:.2f}",
        f"{row.megapixels_per_second:.1f}",
        f"{row.cpu_seconds_per_image:.3f}",
        "" if floor else f"{row.start_seconds:.1f}",
        "" if floor else f"{row.whole_images_per_second:.2f}",
        "" if floor else f"{row.peak_rss / 2**20:.0f}",
        f"{row.other_cores:.1f}",
    ]


def ratio_table(results: Results) -> str:
    """Ours over each of the others: images/s, then the same by CPU seconds, which neighbours disturb less."""
    head = ["photographs", "images", "workers", "ours over", "images/s", "least and most of the rounds",
            "by CPU time", "with start", "same bytes"]  # fmt: skip
    return _markdown(head, list(_ratios(results)), 4)


def _ratios(results: Results) -> list[list[str]]:
    every = {(row.cell, row.contender): row for row in rows(results)}
    lines = []
    for (cell, name), ours in every.items():
        for other in _AGAINST if name == OURS else ():
            if (cell, other) in every:
                lines.append(_ratio(results, cell, ours, every[cell, other]))
    return lines


def _ratio(results: Results, cell: Cell, ours: Row, other: Row) -> list[str]:
    theirs = {run.round: run for run in results.of(cell, other.contender)}
    mine = results.of(cell, OURS)
    each = [theirs[run.round].run_seconds / run.run_seconds for run in mine if run.round in theirs]
    same = {run.digest for run in mine} | {run.digest for run in theirs.values()}
    comparable = CONTENDERS[other.contender].comparable
    floor = other.contender == FLOOR
    whole = ours.whole_images_per_second / other.whole_images_per_second
    return [
        _NAMES[cell.size],
        str(cell.count),
        str(cell.workers),
        CONTENDERS[other.contender].title,
        f"**{ours.images_per_second / other.images_per_second:.2f}**",
        f"{min(each):.2f} to {max(each):.2f}" if each else "",
        f"{other.cpu_seconds_per_image / max(ours.cpu_seconds_per_image, 1e-9):.2f}",
        "" if floor else f"{whole:.2f}",
        ("yes" if len(same) == 1 else "NO") if comparable else "",
    ]


def stage_table(results: Results) -> str:
    """Stages alone, on one core."""
    body = [
        [s.stage, _NAMES[s.size], f"{s.cpu_seconds * 1e3:.1f}", f"{s.megapixels / s.cpu_seconds:.1f}"]
        for s in results.stages
    ]
    table = _markdown(["stage", "photograph", "CPU ms", "MP/s per core"], body, 2)
    cold = [[name, f"{seconds:.2f}"] for name, seconds in results.cold_start.items()]
    return table + "\n\n" + _markdown(["compiled kernels, first use in a process", "s"], cold, 1)


def training_table(results: Results) -> str:
    """The trainer and the bare loop, and what of the latter's rate the former reaches in each round, cores
    being equal."""
    bare = {(run.cores, run.round): run for run in results.training if run.data_wait is None}
    body = []
    for run in sorted(results.training, key=lambda run: (run.cores, run.round, run.data_wait is None)):
        trainer, place = run.data_wait is not None, (run.cores, run.round)
        ratio = run.images_per_second / bare[place].images_per_second if place in bare else None
        body.append([
            run.contender,
            str(run.cores),
            str(run.round + 1),
            f"{run.images_per_second:.1f}",
            f"**{ratio:.2f}**" if trainer and ratio else "",
            f"{run.data_wait:.2%}" if run.data_wait is not None else "",
            f"{run.other_cores:.1f}",
        ])  # fmt: skip
    head = [
        "training", "cores", "round", "images/s", "over the bare loop", "waiting for photographs",
        "others, cores",
    ]  # fmt: skip
    return _markdown(head, body, 1)
