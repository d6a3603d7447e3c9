"""The gallery: static files below OUT/gallery/, for a folder, a bucket's static hosting or the server.

The page reads its rows from `data/page-*.js`. These are scripts, because a page opened from a folder may not
load other kinds of files; each holds one JSON text and a call.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from importlib import resources
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.ledger.doubt_maps import STEPS
from pipeline.ledger.keys import GALLERY
from pipeline.report.advice import ADVICE
from pipeline.review.decisions import Decision, current_decisions
from pipeline.review.thumbnails import Thumbnails
from pipeline.storage import Store

PAGE_ROWS = 5000
CONTENT_TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
}
_SHOWN_BY_BROWSERS = (".jpg", ".jpeg", ".png", ".webp", ".avif")
_DATA = f"{GALLERY}data/"
_MOST_CORRECTIONS = 16 * 2**20  # bytes as JSON


def write_gallery(
    out: Store,
    cards: pa.Table,
    thumbnails: Thumbnails,
    decisions: Sequence[Decision],
    *,
    side: int,
    doubt_maps: pa.Table | None = None,
) -> str:
    """Write the page, its scripts and its rows; return the key of index.html.

    Existing files are overwritten, the list of pages last, so that anyone who opens the gallery meanwhile
    sees either the old or the new one.

    Args:
        cards: CARD_SCHEMA, by key. side: longest side of the thumbnails, pixels.
        doubt_maps: `ledger.doubt_maps.SCHEMA`; None: no result has one.

    Raises:
        StorageError: something cannot be written.
    """
    maps_at = _places_of(cards, doubt_maps)
    names = list(_put_pages(out, cards, thumbnails, maps_at))
    doubts = {} if doubt_maps is None else dict(_put_doubt_pages(out, maps_at, doubt_maps))
    written = {name.partition("?")[0] for name in (*names, *doubts.values())}
    for info in [*out.list(f"{_DATA}page-"), *out.list(f"{_DATA}doubt-")]:
        if info.key.removeprefix(_DATA) not in written:
            out.delete(info.key)
    for name, data in page_files():
        out.put(GALLERY + name, data, CONTENT_TYPES[name.rpartition(".")[2]])
    _put_decisions(out, decisions)
    index = {
        "rows": cards.num_rows,
        "pages": names,
        "page_rows": PAGE_ROWS,
        "doubt_pages": doubts,
        "doubt_steps": STEPS,
        "side": side,
        "built": datetime.now(UTC).isoformat(timespec="seconds"),
        "advice": {str(code): text for code, text in ADVICE.items()},
    }
    out.put(f"{_DATA}index.js", _script("fiatIndex", index), CONTENT_TYPES["js"])
    return f"{GALLERY}index.html"


def _put_decisions(out: Store, decisions: Iterable[Decision]) -> None:
    """Write the current decisions for the page. Raises StorageError."""
    out.put(f"{_DATA}decisions.js", _shown_script(decisions), CONTENT_TYPES["js"])


def _shown_script(decisions: Iterable[Decision]) -> bytes:
    """The current decisions in the form that the page reads, from decisions sorted by time.

    If all corrections together are too large for a page to load, some are left out, starting with the newest;
    for these the page shows only who made a correction.
    """
    shown, left = [], _MOST_CORRECTIONS
    for decision in sorted(current_decisions(decisions).values(), key=lambda one: one.when, reverse=True):
        left -= 0 if decision.correction is None else len(decision.correction.model_dump_json())
        shown.append(without_correction(decision) if left < 0 else decision.model_dump(mode="json"))
    return decisions_script(shown)


def decisions_script(shown: Sequence[Mapping[str, Any]]) -> bytes:
    """The decisions (JSON values) in the form that the page reads."""
    return _script("fiatDecisions", shown)


def without_correction(decision: Decision) -> dict[str, Any]:
    """The decision as JSON values, without its correction, which the page fetches on demand."""
    return decision.model_dump(mode="json", exclude={"correction"})


def page_files() -> Iterable[tuple[str, bytes]]:
    """The files that are the same in every gallery: name in its folder, and bytes."""
    folder = resources.files("pipeline.review") / "page"
    for place, start in ((folder, ""), (folder / "vendor", "vendor/")):
        for file in sorted(place.iterdir(), key=lambda file: file.name):
            if file.is_file():
                yield start + file.name, file.read_bytes()


def _put_pages(
    out: Store, cards: pa.Table, thumbnails: Thumbnails, maps_at: NDArray[np.int64]
) -> Iterable[str]:
    """Write the rows; yield the name of each page with a suffix that invalidates the browser's cache."""
    for number, start in enumerate(range(0, cards.num_rows, PAGE_ROWS)):
        stop = start + PAGE_ROWS
        columns = _columns(cards.slice(start, PAGE_ROWS))
        columns["before"] = thumbnails.before[start:stop]
        columns["after"] = [int(bool(name)) for name in thumbnails.after[start:stop]]
        if (mapped := maps_at[start:stop] >= 0).any():
            columns["mapped"] = mapped.astype(int).tolist()
        data = _script("fiatPage", columns, number)
        name = f"page-{number:05d}.js"
        out.put(_DATA + name, data, CONTENT_TYPES["js"])
        yield f"{name}?{sha256(data).hexdigest()[:12]}"


def _places_of(cards: pa.Table, doubt_maps: pa.Table | None) -> NDArray[np.int64]:
    """For each card, the row of its result's map; -1 if there is none or the card has no doubt."""
    if doubt_maps is None or not doubt_maps.num_rows:
        return np.full(cards.num_rows, -1, np.int64)
    at = pc.index_in(cards["output_sha256"], value_set=doubt_maps["output_sha256"].combine_chunks())
    at = pc.if_else(pc.is_valid(cards["doubt"]), at, pa.scalar(None, at.type))
    return np.asarray(pc.fill_null(at, -1).to_numpy(), np.int64)


def _put_doubt_pages(
    out: Store, maps_at: NDArray[np.int64], doubt_maps: pa.Table
) -> Iterable[tuple[int, str]]:
    """Write the maps of each page that has any; yield the page number, and the name as in `_put_pages`."""
    for number, start in enumerate(range(0, len(maps_at), PAGE_ROWS)):
        at = maps_at[start : start + PAGE_ROWS]
        here = np.flatnonzero(at >= 0)
        if not len(here):
            continue
        maps = doubt_maps.take(pa.array(at[here])).to_pylist()
        by_place = {
            int(place): [one["width"], one["height"], base64.b64encode(one["places"]).decode()]
            for place, one in zip(here, maps, strict=True)
        }
        data = _script("fiatDoubt", by_place, number)
        name = f"doubt-{number:05d}.js"
        out.put(_DATA + name, data, CONTENT_TYPES["js"])
        yield number, f"{name}?{sha256(data).hexdigest()[:12]}"


def _columns(cards: pa.Table) -> dict[str, Any]:
    """The rows by column; frequent texts are indices into `words`. Times are seconds since 1970."""
    words: dict[str, int] = {}

    def placed(name: str) -> list[int]:
        return [words.setdefault(text or "", len(words)) for text in cards[name].to_pylist()]

    names = ("status", "failure_code", "method", "run_id", "doubt_reasons")
    repeated = {name: placed(name) for name in names if name in cards.column_names}
    texts = ("key", "etag", "message", "output_key", "output_sha256")
    columns = {name: [text or "" for text in cards[name].to_pylist()] for name in texts}
    columns["view"] = [  # which file a browser can show at full size: 1 the result, 2 the derivative, 0 none
        1 if _shows(output) else 2 if _shows(derivative) else 0
        for output, derivative in zip(
            cards["output_key"].to_pylist(), cards["derivative_key"].to_pylist(), strict=True
        )
    ]
    columns["derivative_key"] = [
        (text or "") if view == 2 else ""
        for text, view in zip(cards["derivative_key"].to_pylist(), columns["view"], strict=True)
    ]
    seconds = pc.divide(cards["finished_at"].cast(pa.int64()), 1_000_000)
    numbers = {name: [value or 0 for value in cards[name].to_pylist()] for name in ("width", "height")}
    measures = {
        name: [_rounded(value, digits) for value in cards[name].to_pylist()]
        for name, digits in (("mean_chroma", 2), ("doubt", 3), ("novelty", 3))
        if name in cards.column_names
    }
    return {
        **columns,
        **repeated,
        **numbers,
        **measures,
        "earlier": _earlier(cards["earlier"]),
        "finished_at": seconds.to_pylist(),
        "words": list(words),
    }


def _earlier(lists: pa.ChunkedArray) -> dict[int, list[list[Any]]]:
    """By place in the page: key of the file, whether a browser can show it, method, time. Few have any."""
    return {
        place: [
            [one["output_key"], int(_shows(one["output_key"])), one["method"], one["finished_at"].timestamp()]
            for one in earlier
        ]
        for place, earlier in enumerate(lists.to_pylist())
        if earlier
    }


def _rounded(value: float | None, digits: int) -> float | None:
    """The rounded value; None for NaN, which JSON lacks."""
    return None if value is None or not math.isfinite(value) else round(value, digits)


def _shows(key: str | None) -> bool:
    return bool(key) and str(key).lower().endswith(_SHOWN_BY_BROWSERS)


def _script(function: str, value: object, *before: int) -> bytes:
    """A call with one JSON text. The text is quoted ASCII, so nothing in it can be code, and browsers parse
    JSON faster than JavaScript."""
    text = json.dumps(json.dumps(value, ensure_ascii=True, separators=(",", ":")), ensure_ascii=True)
    arguments = ", ".join([*map(str, before), f"JSON.parse({text})"])
    return f"{function}({arguments});\n".encode("ascii")
