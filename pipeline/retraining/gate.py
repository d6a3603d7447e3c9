"""The promotion gate: is a challenger good enough, by the per-photograph table of an evaluation?

Every metric is judged on the paired differences challenger - reference over the same photographs, with the
percentile bootstrap of `pipeline.evaluate.bootstrap`. Two colourings of a photograph share its difficulty,
so their difference is far more certain than either mean. With `equal_by: interval` the rule is
the usual test of non-inferiority (Piaggio et al., "Reporting of Noninferiority and Equivalence Randomized
Trials", JAMA 308(24), 2012).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field, field_validator

from pipeline.config.section import Section
from pipeline.errors import ConfigError, RunError
from pipeline.evaluate.bootstrap import interval, resampled_means
from pipeline.evaluate.settings import METRICS
from pipeline.models.registry_entries import Difference

F64 = NDArray[np.float64]


class GateMetric(Section):
    """A column of the evaluation's table, the direction in which it improves, and the tolerated loss."""

    name: str = Field(description=f"one of {', '.join(METRICS)}")
    better: Literal["higher", "lower"]
    tolerance: float = Field(ge=0, description="a mean loss up to this is equal, in the metric's unit")

    @field_validator("name")
    @classmethod
    def _measured(cls, name: str) -> str:
        if name not in METRICS:
            raise ValueError(f"must be one of {', '.join(METRICS)}")
        return name


DEFAULT_METRICS = (
    GateMetric(name="psnr_db", better="higher", tolerance=0.05),
    GateMetric(name="ab_rmse", better="lower", tolerance=0.05),
    GateMetric(name="ciede2000", better="lower", tolerance=0.05),
    GateMetric(name="colorfulness_signed", better="higher", tolerance=1.0),
)
"""Errors are smallest for cautious colours, so errors alone would promote networks that fade. Colourfulness
is therefore guarded too, with a larger tolerance, for it is no aim in itself."""


class GateSection(Section):
    """When a challenger is promoted: no metric is worse and, with `require_better`, one is better."""

    metrics: tuple[GateMetric, ...] = Field(DEFAULT_METRICS, min_length=1)
    require_better: bool = Field(True, description="false: equal on every metric is enough")
    equal_by: Literal["mean", "interval"] = Field(
        "mean", description="what may not exceed the tolerance; interval: its bad end (non-inferiority)"
    )
    confidence: float = Field(0.95, gt=0.5, lt=1, description="of the intervals")
    resamples: int = Field(2000, ge=200, le=100_000, description="bootstrap samples")
    seed: int = Field(0, ge=0)
    min_photographs: int = Field(30, ge=2, description="fewer are refused: their intervals are too wide")

    @field_validator("metrics")
    @classmethod
    def _once(cls, metrics: tuple[GateMetric, ...]) -> tuple[GateMetric, ...]:
        names = [metric.name for metric in metrics]
        if len(set(names)) < len(names):
            raise ValueError("each metric may be named only once")
        return metrics


def decide(
    table: pa.Table, challenger: str, references: tuple[str, ...], config: GateSection
) -> tuple[Difference, ...]:
    """Every metric of the gate against every reference, references in order.

    `table`: one row per photograph and colouring, with the columns key, colored_by and the metrics.
    `challenger` and `references` are values of `colored_by`.

    Raises:
        ConfigError: fewer photographs than `min_photographs`, a metric that the table has not, or a value
            that is no number.
        RunError: the colourings are not of the same photographs.
    """
    return tuple(
        _difference(table, challenger, reference, metric, config)
        for reference in references
        for metric in config.metrics
    )


def promoted(differences: tuple[Difference, ...], config: GateSection) -> bool:
    """Against every reference: no metric worse, and one better (or `require_better` false)."""
    verdicts: dict[str, set[str]] = {}
    for difference in differences:
        verdicts.setdefault(difference.reference, set()).add(difference.verdict)
    return bool(verdicts) and all(
        "worse" not in each and ("better" in each or not config.require_better) for each in verdicts.values()
    )


def verdict(
    difference: float, low: float, high: float, metric: GateMetric, equal_by: str
) -> Literal["better", "equal", "worse"]:
    """What a mean difference and its interval mean.

    better: the whole interval lies on the good side of 0; equal: it does not, and the mean (or, with
    `equal_by` "interval", the interval's bad end) is no worse than the tolerance; worse: anything else.
    """
    gain, bad_end = (difference, low) if metric.better == "higher" else (-difference, -high)
    if bad_end > 0:
        return "better"
    return "equal" if (bad_end if equal_by == "interval" else gain) >= -metric.tolerance else "worse"


def _difference(
    table: pa.Table, challenger: str, reference: str, metric: GateMetric, config: GateSection
) -> Difference:
    ours, theirs = _paired(table, challenger, reference, metric.name)
    if ours.size < config.min_photographs:
        raise ConfigError(
            f"{ours.size} photographs have a {metric.name}, too few for a decision (gate.min_photographs is "
            f"{config.min_photographs}); give more held-out photographs"
        )
    paired = ours - theirs
    low, high = interval(resampled_means(paired, config.resamples, config.seed), config.confidence)
    difference = float(paired.mean())
    return Difference(
        metric=metric.name,
        better=metric.better,
        tolerance=metric.tolerance,
        reference=reference,
        photographs=ours.size,
        mean_reference=float(theirs.mean()),
        mean_challenger=float(ours.mean()),
        difference=difference,
        low=low,
        high=high,
        verdict=verdict(difference, low, high, metric, config.equal_by),
    )


def _paired(table: pa.Table, challenger: str, reference: str, name: str) -> tuple[F64, F64]:
    """The metric of both, in the order of keys; photographs for which neither has a value are left out."""
    ours, theirs = _column(table, challenger, name), _column(table, reference, name)
    if ours.keys() != theirs.keys() or not ours:
        odd = min(ours.keys() ^ theirs.keys(), default="")
        raise RunError(
            f"{challenger} ({len(ours)} photographs) and {reference} ({len(theirs)}) were not measured on "
            f"the same photographs ({odd or 'there are none'}); evaluate again"
        )
    keys = [key for key in sorted(ours) if ours[key] is not None or theirs[key] is not None]
    pairs = np.array([(ours[key], theirs[key]) for key in keys], dtype=np.float64).reshape(-1, 2)
    bad = ~np.isfinite(pairs).all(axis=1)
    if bad.any():
        raise ConfigError(
            f"{keys[int(bad.argmax())]} has no finite {name} under both colourings; take it out (a gray "
            "photograph cannot be judged by colour)"
        )
    return pairs[:, 0], pairs[:, 1]


def _column(table: pa.Table, colored_by: str, name: str) -> dict[str, float | None]:
    if name not in table.column_names:
        raise ConfigError(f"the evaluation has no column {name!r}, which gate.metrics names")
    rows = table.filter(pa.compute.equal(table["colored_by"], colored_by))
    values = dict(zip(rows["key"].to_pylist(), rows[name].to_pylist(), strict=True))
    if len(values) < rows.num_rows:
        raise RunError(
            f"the evaluation holds photographs of {colored_by} twice; evaluate into an empty place"
        )
    return values
