"""Which results of a run a person should look at first; part of summary.json."""

from __future__ import annotations

import heapq
from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from pipeline.config.section import Section
from pipeline.records import DoubtReason

WORST_TENTH = 0.9
"""Results with at least this doubt are in the worst tenth: nine tenths of the calibration photographs have a
smaller expected error."""
MOST = 10
_REASONS: dict[str, str] = {
    DoubtReason.UNLIKE_TRAINING: "unlike the training photographs",
    DoubtReason.NEARLY_GRAY: "nearly gray",
}


def reason_text(reason: str) -> str:
    """A reason of the ledger's doubt_reasons in words, to follow "the picture is"."""
    return _REASONS.get(reason, reason.replace("_", " "))


class Doubtful(Section):
    """One doubtful result."""

    key: str
    doubt: float = Field(ge=0, le=1)
    reasons: str = Field("", description="as in the ledger's doubt_reasons")

    @property
    def reasons_text(self) -> str:
        """The reasons in words."""
        return ", ".join(map(reason_text, filter(None, self.reasons.split(","))))


class DoubtCounts(Section):
    """Doubt about the results of a run."""

    known: int = Field(ge=0, description="results that have a doubt")
    worst_tenth: int = Field(ge=0, description=f"of these, with a doubt of {WORST_TENTH} or more")
    reasons: dict[str, int] = Field(default_factory=dict, description="results by reason")
    most: tuple[Doubtful, ...] = Field((), description="the most doubtful ones, worst first")


class DoubtTally:
    """Counts rows, table by table; the order of the tables changes nothing."""

    def __init__(self) -> None:
        self._known = self._worst = 0
        self._reasons: Counter[str] = Counter()
        self._most: list[tuple[float, str, str]] = []

    def add(self, colorized: pa.Table) -> None:
        """Count coloured rows, which have the columns `key`, `doubt` and `doubt_reasons`."""
        for text in colorized["doubt_reasons"].drop_null().to_pylist():
            self._reasons.update(text.split(","))
        known = colorized.filter(pc.is_valid(colorized["doubt"]))
        self._known += known.num_rows
        self._worst += (
            pc.sum(pc.greater_equal(known["doubt"], pa.scalar(WORST_TENTH, pa.float32()))).as_py() or 0
        )
        columns = (known[name].to_pylist() for name in ("doubt", "key", "doubt_reasons"))
        rows = [(-doubt, key, reasons or "") for doubt, key, reasons in zip(*columns, strict=True)]
        self._most = heapq.nsmallest(MOST, [*self._most, *rows])

    @property
    def counts(self) -> DoubtCounts | None:
        """The counts; None if no row has a doubt."""
        if not self._known and not self._reasons:
            return None
        most = tuple(Doubtful(key=key, doubt=-less, reasons=reasons) for less, key, reasons in self._most)
        reasons = dict(sorted(self._reasons.items(), key=lambda item: (-item[1], item[0])))
        return DoubtCounts(known=self._known, worst_tenth=self._worst, reasons=reasons, most=most)
