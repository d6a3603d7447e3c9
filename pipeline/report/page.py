"""index.html of a run: one self-contained file, to open from a disk or a bucket."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from PIL import Image

from pipeline.cli.counts import counted
from pipeline.cli.durations import duration
from pipeline.ledger.keys import page_key
from pipeline.records import Status
from pipeline.report.advice import EXIT_MEANING
from pipeline.report.html import render
from pipeline.report.sheet import Pair
from pipeline.report.summary import Summary
from pipeline.report.summary_text import doubt_text

_TEMPLATE = Path(__file__).with_name("page.html.j2")
_JPEG_QUALITY = 85


class _Picture(NamedTuple):
    """A thumbnail as base64 JPEG with its size in pixels, or the `reason` why there is none."""

    width: int = 0
    height: int = 0
    jpeg: str = ""
    reason: str | None = None


class _Figure(NamedTuple):
    """A pair for the template. `aspect`: width of both pictures by their height; `link`: "" for none."""

    key: str
    caption: str
    before: _Picture
    after: _Picture
    aspect: float
    link: str


def report_html(summary: Summary, pairs: Sequence[Pair], output_keys: Sequence[str] = ()) -> str:
    """The page, self-contained: no script, no external resource; every text from outside is escaped.

    Args:
        output_keys: the key below OUT of each pair's colour image, for a link to it; empty: no links.
    """
    keys = list(output_keys) or [""] * len(pairs)
    up = "../" * page_key("*").count("/")  # from the page's folder to OUT
    figures = [_figure(pair, key and up + quote(key)) for pair, key in zip(pairs, keys, strict=True)]
    return render(
        _TEMPLATE, summary=summary, cards=_cards(summary), figures=figures, details=_details(summary)
    )


def _cards(summary: Summary) -> list[tuple[str, int, str]]:
    """Style, count and label of each."""
    counts = summary.counts
    archived = counts.get(Status.ARCHIVED, 0)
    return [
        ("", counts.get(Status.COLORIZED, 0), "coloured"),
        ("bad" if counts.get(Status.FAILED) else "", counts.get(Status.FAILED, 0), "failed"),
        ("", counts.get(Status.SKIPPED_COLOR, 0), "in colour already"),
        ("", counts.get(Status.SKIPPED_OTHER, 0), "not images"),
        *([("", archived, "archived, to be restored")] if archived else []),
        ("", summary.done_before, "done before"),
    ]


def _figure(pair: Pair, link: str) -> _Figure:
    if isinstance(pair.after, str):
        link = ""
    before, after = _picture(pair.before), _picture(pair.after)
    return _Figure(pair.key, pair.caption, before, after, 2 * _aspect(pair), link)


def _aspect(pair: Pair) -> float:
    """Width divided by height of the pair's pictures; 1.5 if there are none."""
    shown = next((p for p in (pair.after, pair.before) if not isinstance(p, str)), None)
    return shown.width / shown.height if shown else 1.5


def _picture(picture: Image.Image | str) -> _Picture:
    if isinstance(picture, str):
        return _Picture(reason=picture)
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return _Picture(*picture.size, base64.b64encode(buffer.getvalue()).decode())


def _details(summary: Summary) -> dict[str, str]:
    seconds, stages = summary.seconds, summary.stage_seconds
    speed = f"{summary.images_per_second:.2f} images/s" if summary.images_per_second else "none coloured"
    lightness = "none coloured" if summary.max_delta_l is None else f"{summary.max_delta_l:.3f} L* (of 100)"
    model = summary.model
    doubt = {} if summary.doubt is None else {"Doubt": doubt_text(summary.doubt)}
    of_others = (
        {}
        if model is None
        else {"Origin of the weights": f"{model.name}, licence {model.terms}, from {model.source}"}
    )
    return {
        "Run": summary.run_id,
        "Exit status": f"{summary.exit_status}, {EXIT_MEANING.get(summary.exit_status, 'unknown')}",
        "Source": f"{counted(summary.listed, 'file')}, {summary.bytes:,} bytes; {summary.todo:,} to do",
        "Model": f"{summary.method}, weights {summary.weights_digest}, {summary.precision} precision",
        **of_others,
        "Job digest": summary.job_digest,
        "Workers": f"{summary.workers}, {summary.topology} topology",
        "Speed": speed,
        "Time": f"{duration(seconds.total)}: load {seconds.load:.1f}, plan {seconds.plan:.1f}, "
        f"start {seconds.start:.1f}, run {seconds.run:.1f}, close {seconds.close:.1f} s",
        "In the workers": f"decode {stages.decode:.1f}, predict {stages.predict:.1f}, "
        f"compose and write {stages.compose:.1f} s",
        **doubt,
        "Largest change of lightness": lightness,
        "Software": ", ".join(f"{name} {version}" for name, version in summary.versions.items()),
    }
