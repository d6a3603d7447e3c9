"""Chroma drift: whether a run's images are as colourful as usual for this network.

A wrong ICC profile, damaged weights or another kind of material do not make images fail; they make them
grayer or gaudier. The measure is Glass's delta: the difference of two means divided by the standard deviation
of the reference.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import NamedTuple

from pydantic import Field

from pipeline.config.job import JobConfig
from pipeline.config.section import Section

#: With fewer images the mean of a run says little; at 25 its standard error is a fifth of the spread.
ENOUGH = 25
_TABLE = Path(__file__).resolve().parents[1] / "weights" / "chroma.json"


class Reference(NamedTuple):
    """Mean and standard deviation over images of `mean_chroma`, CIELAB C*ab."""

    mean: float
    spread: float


class Chroma(Section):
    """Chroma of a run's images that had no guide; part of summary.json."""

    images: int = Field(ge=1)
    mean: float = Field(description="of mean_chroma over the images")
    spread: float = Field(description="its standard deviation over the images; 0 for one image")
    colorfulness: float = Field(description="mean of the ledger's colorfulness")
    reference_mean: float | None = Field(None, description="null: there is nothing to compare with")
    reference_spread: float | None = None
    drift: float | None = Field(
        None, description=f"(mean - reference_mean) / reference_spread; null for fewer than {ENOUGH} images"
    )

    def against(self, reference: Reference | None) -> Chroma:
        """The same, compared with the reference."""
        if reference is None:
            return self
        drift = (self.mean - reference.mean) / reference.spread if self.images >= ENOUGH else None
        compared = {"reference_mean": reference.mean, "reference_spread": reference.spread, "drift": drift}
        return self.model_copy(update=compared)


def reference_for(config: JobConfig, weights_digest: str) -> Reference | None:
    """The reference for the job's images: the configured values, else those of the shipped weights on the
    sample photographs times `model.chroma`; None for other weights and for methods without weights."""
    report = config.report
    if report.chroma_mean is not None and report.chroma_spread is not None:
        return Reference(report.chroma_mean, report.chroma_spread)
    measured = _measured().get(weights_digest)
    factor = config.model.chroma
    if measured is None or factor == 0:
        return None
    return Reference(measured.mean * factor, measured.spread * factor)


@cache
def _measured() -> dict[str, Reference]:
    """References of shipped weights by SHA-256; `python -m tests.support.chroma_reference` measures them."""
    table = json.loads(_TABLE.read_text(encoding="utf-8"))
    return {row["sha256"]: Reference(row["mean"], row["spread"]) for row in table.values()}
