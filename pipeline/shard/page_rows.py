"""Combine the data of several pages for the single row of their source."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from pipeline.shard.compose import Measures


def joined_measures(pages: Iterable[Measures]) -> Measures:
    """Combine all pages: the largest max_delta_l, and the means of chroma and colourfulness."""
    measures = list(pages)
    return Measures(
        max(one.max_delta_l for one in measures),
        float(np.mean([one.mean_chroma for one in measures])),
        float(np.mean([one.colorfulness for one in measures])),
    )


def joined_notes(notes: Iterable[str | None]) -> str | None:
    """Of all pages, each with its number."""
    return "; ".join(f"page {number}: {note}" for number, note in enumerate(notes, 1) if note) or None


def joined_changes(pages: Iterable[Iterable[str]]) -> tuple[str, ...]:
    """Of all pages, each with its number."""
    return tuple(f"page {number}: {change}" for number, changes in enumerate(pages, 1) for change in changes)


def joined_share(pages: Iterable[float | None]) -> float | None:
    """The largest share of all pages."""
    return max((share for share in pages if share is not None), default=None)
