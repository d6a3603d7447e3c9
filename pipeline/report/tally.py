"""Count ledger rows table by table, in memory that does not grow with the archive."""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.records import RUN_STATUSES, Status
from pipeline.report.advice import ADVICE
from pipeline.report.doubtful import DoubtTally
from pipeline.report.drift import Chroma
from pipeline.report.summary import Example, FailureGroup, StageSeconds

#: The columns that a ledger part must be read with; the others are not used.
COLUMNS = (
    "key",
    "bytes",
    "status",
    "failure_code",
    "message",
    "output_key",
    "guide_digest",
    "width",
    "height",
    "max_delta_l",
    "mean_chroma",
    "colorfulness",
    "doubt",
    "doubt_reasons",
    "seconds_decode",
    "seconds_predict",
    "seconds_compose",
)
EXAMPLES = 5


class RunTally:
    """Counts, failures, seconds and a sample for the report, independent of the order of the tables.

    The sample is the `sample` colorized rows with the lowest key hashes: evenly spread over the archive, and
    the same rows whichever worker finishes first.
    """

    def __init__(self, sample: int = 0) -> None:
        self.counts: dict[str, int] = {str(status): 0 for status in RUN_STATUSES}
        self.stage_seconds = StageSeconds()
        self.max_delta_l: float | None = None
        self.guided = 0
        self.second_files = 0  # of images that were finished before and got their second file alone
        self.doubt = DoubtTally()
        self._chroma = np.zeros(4)  # images without a guide; sums of chroma, its square, and colourfulness
        self._failed: Counter[str] = Counter()
        self._examples: dict[str, list[tuple[str, str]]] = {}
        self._sample = sample
        self._heap: list[tuple[int, str, dict[str, Any]]] = []

    def add(self, table: pa.Table) -> None:
        """Count the rows of one table with (at least) `COLUMNS` of the ledger's schema."""
        for entry in pc.value_counts(table["status"]).to_pylist():
            self.counts[entry["values"]] += entry["counts"]
        self._add_seconds(table)
        self._add_failures(table.filter(pc.field("status") == str(Status.FAILED)))
        colorized = table.filter(pc.field("status") == str(Status.COLORIZED))
        self.guided += len(colorized) - colorized["guide_digest"].null_count
        no_network = pc.and_(
            pc.is_null(colorized["seconds_predict"]), pc.is_valid(colorized["seconds_compose"])
        )
        self.second_files += pc.sum(no_network).as_py() or 0
        worst = pc.max(colorized["max_delta_l"]).as_py()
        if worst is not None:
            self.max_delta_l = max(worst, self.max_delta_l or 0.0)
        self.doubt.add(colorized)
        self._add_chroma(colorized.filter(pc.field("guide_digest").is_null()))
        self._add_sample(colorized)

    @property
    def rows(self) -> int:
        """The number of rows counted so far, of any status."""
        return sum(self.counts.values())

    @property
    def failures(self) -> dict[str, FailureGroup]:
        """Failures by code, the most frequent first; examples are the first keys in alphabetical order."""
        ordered = sorted(self._failed.items(), key=lambda item: (-item[1], item[0]))
        return {
            code: FailureGroup(
                count=count,
                advice=ADVICE.get(code, ""),
                examples=tuple(Example(key=key, message=message) for key, message in self._examples[code]),
            )
            for code, count in ordered
        }

    @property
    def chroma(self) -> Chroma | None:
        """Chroma of the colorized rows without a guide; None if there are none."""
        images, total, squares, colorfulness = self._chroma.tolist()
        if not images:
            return None
        variance = max(squares - total * total / images, 0.0) / max(images - 1, 1)
        mean, spread = total / images, variance**0.5
        return Chroma(images=int(images), mean=mean, spread=spread, colorfulness=colorfulness / images)

    @property
    def sample(self) -> list[dict[str, Any]]:
        """The sampled colorized rows, by key."""
        return sorted((row for _, _, row in self._heap), key=lambda row: str(row["key"]))

    def _add_seconds(self, table: pa.Table) -> None:
        sums = {
            stage: pc.sum(table[f"seconds_{stage}"]).as_py() or 0.0 for stage in StageSeconds.model_fields
        }
        before = self.stage_seconds.model_dump()
        self.stage_seconds = StageSeconds(**{stage: before[stage] + sums[stage] for stage in sums})

    def _add_failures(self, failed: pa.Table) -> None:
        for row in failed.select(["key", "failure_code", "message"]).to_pylist():
            code = row["failure_code"]
            self._failed[code] += 1
            known = self._examples.setdefault(code, [])
            known.append((row["key"], row["message"] or ""))
            self._examples[code] = heapq.nsmallest(EXAMPLES, known)

    def _add_chroma(self, unguided: pa.Table) -> None:
        known = unguided.select(["mean_chroma", "colorfulness"]).drop_null()
        chroma, colorfulness = (column.to_numpy().astype(np.float64) for column in known.columns)
        self._chroma += (len(chroma), chroma.sum(), (chroma**2).sum(), colorfulness.sum())

    def _add_sample(self, colorized: pa.Table) -> None:
        if not self._sample:
            return
        for row in colorized.select([name for name in COLUMNS if name in colorized.column_names]).to_pylist():
            # Negated, because heapq keeps the smallest on top and the largest hash must be dropped.
            rank = -int.from_bytes(hashlib.blake2b(row["key"].encode(), digest_size=8).digest(), "big")
            push = heapq.heappush if len(self._heap) < self._sample else heapq.heappushpop
            push(self._heap, (rank, row["key"], row))
