"""The documentation page: text from `performance.md.in`, figures from the results."""

from __future__ import annotations

from pathlib import Path
from string import Template

from pipeline.benchmark.plots import draw_all
from pipeline.benchmark.results import Results
from pipeline.benchmark.tables import rate_table, ratio_table, stage_table, training_table

TEMPLATE = Path(__file__).with_name("performance.md.in")
_ALT = {
    "rates": "images per second of every contender by size",
    "growth": "steady rate and start-up over the number of images",
    "megapixels": "megapixels per second over the size of a photograph",
}
_NOT_MEASURED = "Not measured yet."


def write_page(results: Results, file: Path, *, plots: bool = True) -> None:
    """Write `file`, its plots and a copy of the results in the folder of its name beside it.

    Raises ConfigError where plots are wanted and matplotlib is missing.
    """
    beside = file.with_suffix("")
    beside.mkdir(parents=True, exist_ok=True)
    results.save(beside / "results.json")
    drawn = draw_all(results, beside) if plots else []
    text = Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        machine="; ".join(f"{name} {value}" for name, value in results.machine.items()),
        versions=", ".join(f"{name} {value}" for name, value in results.versions.items()),
        settings=", ".join(f"{name} {value}" for name, value in results.settings.items()) or "the defaults",
        commands="\n".join(f"    {command}" for command in dict.fromkeys(results.commands)),
        dates=" and ".join(dict.fromkeys(results.dates)),
        commits=", ".join(dict.fromkeys(run.commit for run in results.runs if run.commit)) or "unknown",
        plots="\n\n".join(f"![{_ALT[path.stem]}]({beside.name}/{path.name})" for path in drawn),
        ratios=ratio_table(results) if results.runs else _NOT_MEASURED,
        rates=rate_table(results) if results.runs else _NOT_MEASURED,
        stages=stage_table(results) if results.stages else _NOT_MEASURED,
        training=training_table(results) if results.training else _NOT_MEASURED,
    )
    file.write_text(text, encoding="utf-8")
