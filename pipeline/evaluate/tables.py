"""The tables of an evaluation, as Markdown and as a page of HTML that includes the contact sheets."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from pipeline.evaluate.settings import GRAY, METRICS, OWN, TINT
from pipeline.evaluate.summary import (
    CHROMA_SHARE,
    CPU_SECONDS,
    DELTA,
    FID,
    FRECHET,
    PEAK_BYTES,
    SHARE,
    Interval,
    Row,
)


@dataclass(frozen=True)
class _Column:
    metric: str
    head: str
    digits: int
    factor: float = 1.0


_COLUMNS = (
    _Column("psnr_db", "PSNR, dB ↑", 2),
    _Column("ssim", "SSIM ↑", 3),
    _Column("ab_rmse", "ab-RMSE ↓", 2),
    _Column("ciede2000", "CIEDE2000 ↓", 2),
    _Column("auc_ab", "AuC of ab error, % ↑", 1, 100),
    _Column("colorfulness_signed", "colourfulness, signed", 1),
    _Column("colorfulness_absolute", "colourfulness, absolute", 1),
    _Column(DELTA, "Δ to the truth's (absolute) ↓", 2),
    _Column(SHARE, "of the truth's (signed), %", 0, 100),
    _Column("mean_chroma", "mean chroma", 1),
    _Column(CHROMA_SHARE, "of the truth's, %", 0, 100),
    _Column("lite0_perceptual", "Lite0 perceptual ↓", 4),
    _Column(FRECHET, "Fréchet distance, EfficientNet-Lite0 features ↓", 1),
    _Column(FID, "FID ↓", 2),
    _Column("top1_correct", "top-1, % ↑", 1, 100),
    _Column(CPU_SECONDS, "CPU, s an image ↓", 3),
    _Column(PEAK_BYTES, "peak memory, MB ↓", 0, 1e-6),
)
_SOMETIMES = (FID, CPU_SECONDS, PEAK_BYTES)
"""Columns that are there only where something is in them."""
_PAIRED = tuple(c for c in _COLUMNS if c.metric in METRICS)

NOTES = (
    "In brackets: 95% intervals, percentile bootstrap over photographs ({resamples} resamples, seed {seed}).",
    "Every colouring has the photograph's own lightness. PSNR (ITU-T J.340) and SSIM (Wang et al. 2004) over "
    "R, G and B; ab-RMSE (Deshpande et al. 2015), AuC (thresholds 0 to 150, Zhang et al. 2016) and CIEDE2000 "
    "(Sharma et al. 2005) in CIELAB D65. Colourfulness: signed is Hasler and Suesstrunk 2003; absolute is "
    "the variant in the code of DDColor and CT2; chroma is the mean of C*ab.",
    "Lite0 perceptual: a distance like LPIPS on EfficientNet-Lite0, without learned weights. "
    "Fréchet distance: between Gaussians of its 1280 pooled features. With few photographs it is biased "
    "upwards, so compare it only within one table. Its interval is from {frechet_resamples} resamples, "
    "centred on the estimate.",
    "Δ: absolute difference between the mean colourfulness (absolute) and that of the photographs "
    "themselves, as papers print it.",
    "Top-1: EfficientNet-Lite0 pretrained on ImageNet, on the {labelled} photographs with an ImageNet class. "
    "It sees 224 x 224 pixels, enlarged from a short side of at most {side}; small sides lower it for all "
    "colourings.",
)


FID_NOTE = (
    "FID (Heusel et al. 2017): on the features of {inception}, pictures enlarged bilinearly to 299 x 299. "
    "It falls with the number of photographs ({photographs} here; papers on ImageNet use 5,000 or more). "
    "So compare it with published values only for the same number and size of photographs."
)
COST_NOTE = (
    "CPU and peak memory: from {count} photographs at the size measured, on one core, with one process for "
    "each network. The time does not count the first photograph. The memory is that of the process, "
    "including Python and libraries."
)


def markdown(about: Mapping[str, Any], rows: list[Row]) -> str:
    """The tables: per group the metrics and the differences to one colouring, then the notes."""
    lines = [f"# Evaluation of {about['input']}", "", *_facts(about), ""]
    for group, members in _by_group(rows).items():
        lines += [f"## {_title(members)}", ""]
        for title, columns, body in _tables(members, about["against"]):
            lines += [title, ""] if title else []
            lines.append("| coloured by | " + " | ".join(c.head for c in columns) + " |")
            lines.append("|---" + "|---:" * len(columns) + "|")
            lines += [f"| {_cell_text(name)} | {' | '.join(cells)} |" for name, cells in body]
            lines.append("")
        assert group
    lines += [f"- {note}" for note in _notes(about, rows)]
    return "\n".join(lines) + "\n"


def html(about: Mapping[str, Any], rows: list[Row], sheets: Mapping[str, tuple[str, bytes]]) -> str:
    """The same as one self-contained page. `sheets`: by title the alternative text and the JPEG bytes."""
    environment = Environment(
        loader=PackageLoader("pipeline", "evaluate"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    return environment.get_template("evaluation.html.j2").render(
        input=about["input"],
        facts=list(_facts(about)),
        groups=[
            {
                "title": _title(members),
                "tables": [_html_table(*table) for table in _tables(members, about["against"])],
            }
            for members in _by_group(rows).values()
        ],
        notes=_notes(about, rows),
        sheets=[
            {"title": title, "alt": alt, "base64": base64.b64encode(jpeg).decode()}
            for title, (alt, jpeg) in sheets.items()
        ],
    )


def _html_table(
    title: str, columns: tuple[_Column, ...], body: list[tuple[str, list[str]]]
) -> dict[str, Any]:
    """What the template needs of one of `_tables`; a cell is its value and its interval, which may be ""."""
    cells = [(name, [cell.partition(" ")[::2] for cell in row]) for name, row in body]
    return {"title": title, "heads": [column.head for column in columns], "rows": cells}


def _facts(about: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"{about['photographs']} photographs at a short side of at most {about['short_side']} pixels, "
        f"{len(about['unreadable'])} unreadable; constant tint a* {about['tint_ab'][0]:.2f}, "
        f"b* {about['tint_ab'][1]:.2f}."
    )
    if about["plates"] != [OWN]:
        yield (
            f"What the networks saw: {', '.join(about['plates'])} (own: the photograph's lightness, else a "
            "plate of the same scene); every colouring has the photograph's own lightness put back."
        )
    if about["groups"]:
        yield f"Of these sources alone: {', '.join(about['groups'])}."
    yield (
        "Weights: "
        + "; ".join(f"{e['name']} is {e['method']} {e['weights_sha256'][:12]}" for e in about["entries"])
        + "."
    )


def _by_group(rows: list[Row]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    return groups


def _title(members: list[Row]) -> str:
    return f"{members[0].group} ({members[0].photographs} photographs, {members[0].labelled} with a class)"


def _tables(
    members: list[Row], against: str
) -> Iterator[tuple[str, tuple[_Column, ...], list[tuple[str, list[str]]]]]:
    columns = tuple(
        c for c in _COLUMNS if c.metric not in _SOMETIMES or any(c.metric in m.metrics for m in members)
    )
    nothing = Interval(None)
    yield (
        "",
        columns,
        [(m.colored_by, [_cell(m.metrics.get(c.metric, nothing), c) for c in columns]) for m in members],
    )
    differing = [m for m in members if m.differences]
    body = [
        (m.colored_by, [_cell(m.differences[c.metric], c, signed=True) for c in _PAIRED]) for m in differing
    ]
    yield f"Difference to {_called(against)} on the same photographs:", _PAIRED, body


def _called(entry: str) -> str:
    return {GRAY: "the gray image", TINT: "the constant tint"}.get(entry, entry)


def _cell(interval: Interval, column: _Column, *, signed: bool = False) -> str:
    if interval.value is None:
        return ""
    plus = "+" if signed else ""

    def text(value: float) -> str:
        return f"{value * column.factor:{plus}.{column.digits}f}"

    if interval.low is None or interval.high is None:
        return text(interval.value)
    return f"{text(interval.value)} [{text(interval.low)}, {text(interval.high)}]"


def _cell_text(name: str) -> str:
    return name.replace("|", "\\|").replace("\n", " ")


def _notes(about: Mapping[str, Any], rows: list[Row]) -> list[str]:
    values = {
        "resamples": about["resamples"],
        "seed": about["seed"],
        "frechet_resamples": about["frechet_resamples"],
        "labelled": rows[0].labelled,
        "side": about["short_side"],
    }
    notes = [note.format(**values) for note in NOTES]
    if any(FID in row.metrics for row in rows):
        notes.append(FID_NOTE.format(inception=about["inception"], photographs=rows[0].photographs))
    if any(CPU_SECONDS in row.metrics for row in rows):
        notes.append(COST_NOTE.format(count=about["cost_photographs"]))
    return notes
