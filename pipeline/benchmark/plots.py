"""Results as pictures. matplotlib is imported here and nowhere else: only the benchmark needs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.benchmark.contenders import CONTENDERS, FLOOR
from pipeline.benchmark.results import Results
from pipeline.benchmark.tables import Row, rows
from pipeline.errors import ConfigError

# Okabe and Ito's colours: people with red-green colour blindness can tell them apart.
_COLOURS = {
    "ours": "#0072B2", "ours_gpu": "#56B4E9", "ours_gpu_compose": "#CC79A7", "same_work": "#009E73",
    "plain": "#E69F00", "ray": "#D55E00", "floor": "#999999",
}  # fmt: skip
_TITLES = {"512": "512 x 512", "2mp": "2 MP", "12mp": "12 MP", "mixed": "mixed sizes"}
_MEGAPIXELS = {"512": 0.262, "2mp": 2.0, "12mp": 12.0}


def _pyplot() -> Any:
    try:
        import matplotlib
    except ImportError:
        raise ConfigError("plots need matplotlib: pip install matplotlib, or --no-plots") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    pyplot.rcParams.update({"font.size": 13, "axes.spines.top": False, "axes.spines.right": False})
    return pyplot


def draw_all(results: Results, folder: Path) -> list[Path]:
    """Write rates.png, growth.png and megapixels.png, those that there are figures for."""
    folder.mkdir(parents=True, exist_ok=True)
    every = rows(results)
    if not every:
        return []
    pyplot = _pyplot()
    drawn = []
    for name, draw in (("rates", _rates), ("growth", _growth), ("megapixels", _megapixels)):
        figure = draw(pyplot, every)
        if figure is not None:
            figure.savefig(folder / f"{name}.png", dpi=110, bbox_inches="tight")
            pyplot.close(figure)
            drawn.append(folder / f"{name}.png")
    return drawn


def _main_rows(every: list[Row]) -> list[Row]:
    """On the most workers; of 512 x 512 the smallest count, as all contenders ran that."""
    most = max(row.cell.workers for row in every)
    least = {size: min(r.cell.count for r in every if r.cell.size == size) for size in _sizes(every)}
    return [r for r in every if r.cell.workers == most and r.cell.count == least[r.cell.size]]


def _sizes(every: list[Row]) -> list[str]:
    return [size for size in _TITLES if any(row.cell.size == size for row in every)]


def _rates(pyplot: Any, every: list[Row]) -> Any:
    """A panel for each size, a bar for each contender."""
    sizes = _sizes(every)
    figure, axes = pyplot.subplots(1, len(sizes), figsize=(2.2 + 3.4 * len(sizes), 3.6), squeeze=False)
    for place, (panel, size) in enumerate(zip(axes[0], sizes, strict=True)):
        shown = [row for row in _main_rows(every) if row.cell.size == size][::-1]
        names = [CONTENDERS[row.contender].title for row in shown]
        colours = [_COLOURS[row.contender] for row in shown]
        values = [row.images_per_second for row in shown]
        bars = panel.barh(names if place == 0 else range(len(names)), values, color=colours)
        panel.bar_label(bars, fmt="%.3g", padding=3)
        panel.set(title=_TITLES[size], xlabel="images/s", xlim=(0, 1.25 * max(values)))
        if place:
            panel.set_yticks([])
    figure.suptitle(f"Steady rate, {max(r.cell.workers for r in every)} worker(s): more is better", y=1.06)
    return figure


def _growth(pyplot: Any, every: list[Row]) -> Any:
    """Steady rate and start-up over the number of images."""
    most = max(row.cell.workers for row in every)
    shown = [r for r in every if r.cell.size == "512" and r.cell.workers == most and r.contender != FLOOR]
    if len({row.cell.count for row in shown}) < 2:
        return None
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(12, 4.4))
    for name in dict.fromkeys(row.contender for row in shown):
        own = [row for row in shown if row.contender == name]
        style = {"marker": "o", "color": _COLOURS[name], "label": CONTENDERS[name].title}
        left.plot([r.cell.count for r in own], [r.images_per_second for r in own], **style)
        right.plot([r.cell.count for r in own], [r.start_seconds for r in own], **style)
    ticks = sorted({row.cell.count for row in shown})
    for panel, title in ((left, "steady images/s"), (right, "start-up, s")):
        panel.set(xscale="log", xlabel="images of 512 x 512", ylabel=title, ylim=(0, None))
        panel.set_xticks(ticks, [f"{tick:,}" for tick in ticks], minor=False)
        panel.minorticks_off()
        panel.grid(alpha=0.3)
    left.legend(frameon=False)
    return figure


def _megapixels(pyplot: Any, every: list[Row]) -> Any:
    """Megapixels per second over megapixels of a photograph."""
    shown = [row for row in _main_rows(every) if row.cell.size in _MEGAPIXELS]
    if len({row.cell.size for row in shown}) < 2:
        return None
    figure, panel = pyplot.subplots(figsize=(7.5, 4.8))
    for name in dict.fromkeys(row.contender for row in shown):
        own = [row for row in shown if row.contender == name]
        panel.plot(
            [_MEGAPIXELS[r.cell.size] for r in own], [r.megapixels_per_second for r in own],
            marker="o", color=_COLOURS[name], label=CONTENDERS[name].title,
        )  # fmt: skip
    ticks = sorted({_MEGAPIXELS[row.cell.size] for row in shown})
    panel.set(xscale="log", yscale="log", xlabel="megapixels of a photograph", ylabel="MP/s")
    panel.set_xticks(ticks, [f"{tick:.2g}" for tick in ticks], minor=False)
    panel.minorticks_off()
    panel.grid(alpha=0.3, which="both")
    panel.legend(frameon=False)
    return figure
