"""index.html of a run: one file with everything inside, to open from a disk or from a bucket."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from urllib.parse import quote

from PIL import Image

from pipeline.cli.words import duration
from pipeline.records import Status
from pipeline.report.sheet import Pair
from pipeline.report.summary import EXIT_MEANING, Summary

_JPEG_QUALITY = 85

_CSS = """
:root { color-scheme: dark }
body { margin: 0 auto; padding: 2rem; max-width: 90rem; background: #181818; color: #e4e4e4;
       font: 15px/1.5 system-ui, sans-serif }
h1 { font-size: 1.5rem; margin: 0 } h2 { font-size: 1.1rem; margin: 2.5rem 0 .75rem }
p.lead { margin: .25rem 0 1.5rem; color: #a8a8a8 }
.cards { display: flex; flex-wrap: wrap; gap: 1rem }
.card { background: #222; border-radius: 6px; padding: .75rem 1.25rem; min-width: 7rem }
.card b { display: block; font-size: 1.6rem; font-weight: 600 } .card span { color: #a8a8a8 }
.card.bad b { color: #ff8f6b }
/* Justified rows: --pair is the width of both pictures by their height; the last row does not grow. */
.pairs { display: flex; flex-wrap: wrap; gap: 1.75rem 1.5rem }
.pairs::after { content: ""; flex: 1000 0 0 }
figure { margin: 0; flex: var(--pair) 1 calc(var(--pair) * 13rem); max-width: calc(var(--pair) * 19rem) }
figure div { display: flex; gap: 3px }
figure a { display: block; flex: 1 1 0; min-width: 0 }
figure img, .missing { display: block; flex: 1 1 0; width: 100%; min-width: 0; height: auto }
.missing { display: grid; place-content: center; padding: 1rem; box-sizing: border-box; background: #3a3a3a;
           color: #a8a8a8; text-align: center; overflow-wrap: anywhere; aspect-ratio: calc(var(--pair) / 2);
           overflow: hidden }
figcaption { padding-top: .4rem; overflow-wrap: anywhere; contain: inline-size }
figcaption small { display: block; color: #969696 }
table { border-collapse: collapse }
td, th { text-align: left; vertical-align: top; padding: .3rem 1.5rem .3rem 0;
         border-top: 1px solid #333 }
li, td:last-child { overflow-wrap: anywhere }
th { font-weight: 400; color: #a8a8a8 }
code { font: 13px ui-monospace, monospace } ul { margin: 0; padding-left: 1.1rem }
"""


def report_html(summary: Summary, pairs: Sequence[Pair], output_keys: Sequence[str] = ()) -> str:
    """The page, self-contained: no script, no external resource; every text from outside is escaped.

    Args:
        output_keys: the key below OUT of each pair's colour image, for a link to it; empty: no links.
    """
    keys = list(output_keys) or [""] * len(pairs)
    figures = "".join(_figure(pair, key) for pair, key in zip(pairs, keys, strict=True))
    gallery = f"<h2>Before and after</h2><div class=pairs>{figures}</div>" if pairs else ""
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width, initial-scale=1">'
        f"<title>Fiat Color, {escape(summary.run_id)}</title><style>{_CSS}</style></head><body>"
        f"<h1>Fiat Color</h1><p class=lead>{escape(summary.input)} to {escape(summary.output)}, "
        f"{escape(summary.finished_at)}. Colours are a network's guesses, not a record of what was there.</p>"
        f"{_cards(summary)}{_failures(summary)}{gallery}{_details(summary)}</body></html>\n"
    )


def _cards(summary: Summary) -> str:
    counts = summary.counts
    cards = [
        ("", counts.get(Status.COLORIZED, 0), "coloured"),
        ("bad" if counts.get(Status.FAILED) else "", counts.get(Status.FAILED, 0), "failed"),
        ("", counts.get(Status.SKIPPED_COLOR, 0), "in colour already"),
        ("", counts.get(Status.SKIPPED_OTHER, 0), "not images"),
        ("", summary.done_before, "done before"),
    ]
    boxes = "".join(
        f"<div class='card {kind}'><b>{count:,}</b><span>{label}</span></div>" for kind, count, label in cards
    )
    return f"<div class=cards>{boxes}</div>"


def _failures(summary: Summary) -> str:
    if not summary.failures:
        return ""
    rows = ""
    for code, group in summary.failures.items():
        examples = "".join(
            f"<li><code>{escape(example.key)}</code>: {escape(example.message)}</li>"
            for example in group.examples
        )
        rows += (
            f"<tr><td><code>{escape(code)}</code></td><td>{group.count:,}</td><td>{escape(group.advice)}</td>"
            f"<td><ul>{examples}</ul></td></tr>"
        )
    head = "<tr><th>Code</th><th>Images</th><th>What to do</th><th>For example</th></tr>"
    return f"<h2>Failed images</h2><table>{head}{rows}</table>"


def _figure(pair: Pair, output_key: str) -> str:
    after = _image(pair.after, f"{pair.key}, in colour")
    if output_key and not isinstance(pair.after, str):
        # The page stands at runs/<run id>/report/index.html below OUT.
        after = f'<a href="../../../{quote(output_key)}">{after}</a>'
    return (
        f'<figure style="--pair: {2 * _aspect(pair):.3f}"><div>'
        f"{_image(pair.before, pair.key)}{after}</div>"
        f"<figcaption>{escape(pair.key)}<small>{escape(pair.caption)}</small></figcaption></figure>"
    )


def _aspect(pair: Pair) -> float:
    """Width by height of the pair's pictures; 1.5 where there is none."""
    shown = next((p for p in (pair.after, pair.before) if not isinstance(p, str)), None)
    return shown.width / shown.height if shown else 1.5


def _image(picture: Image.Image | str, alt: str) -> str:
    if isinstance(picture, str):
        return f"<span class=missing>no picture: {escape(picture)}</span>"
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "JPEG", quality=_JPEG_QUALITY)
    data = base64.b64encode(buffer.getvalue()).decode()
    w, h = picture.size
    return f'<img width={w} height={h} alt="{escape(alt)}" src="data:image/jpeg;base64,{data}">'


def _details(summary: Summary) -> str:
    seconds, stages = summary.seconds, summary.stage_seconds
    speed = f"{summary.images_per_second:.2f} images/s" if summary.images_per_second else "none coloured"
    lightness = "none coloured" if summary.max_delta_l is None else f"{summary.max_delta_l:.3f} L* (of 100)"
    rows = {
        "Run": summary.run_id,
        "Exit status": f"{summary.exit_status}, {EXIT_MEANING.get(summary.exit_status, 'unknown')}",
        "Source": f"{summary.listed:,} objects, {summary.bytes:,} bytes; {summary.todo:,} to do",
        "Model": f"{summary.method}, weights {summary.weights_digest}, {summary.precision}",
        "Job digest": summary.job_digest,
        "Workers": f"{summary.workers}, {summary.topology}",
        "Speed": speed,
        "Time": f"{duration(seconds.total)}: plan {seconds.plan:.1f}, start {seconds.start:.1f}, "
        f"run {seconds.run:.1f}, close {seconds.close:.1f} s",
        "In the workers": f"decode {stages.decode:.1f}, predict {stages.predict:.1f}, "
        f"compose and write {stages.compose:.1f} s",
        "Largest change of lightness": lightness,
        "Software": ", ".join(f"{name} {version}" for name, version in summary.versions.items()),
    }
    body = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows.items()
    )
    return f"<h2>This run</h2><table>{body}</table>"
