"""Summarise one row per photograph and colouring as means with intervals, per group and over all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.evaluate.bootstrap import interval, occurrences, resampled_means, weighted_means
from pipeline.evaluate.cost import Cost
from pipeline.evaluate.perceptual import frechet_distance
from pipeline.evaluate.settings import METRICS, TRUTH, EvaluateSection

F64 = NDArray[np.float64]
ALL = "all"
SHARE = "colorfulness_share"
"""Signed colourfulness over that of the ground truth: ratio of the means."""

CHROMA_SHARE = "chroma_share"
"""Mean chroma over that of the ground truth, likewise."""

DELTA = "colorfulness_delta"
"""Absolute difference of the mean absolute colourfulness to that of the ground truth, as DDColor and others
print it ("delta CF")."""

FRECHET = "lite0_frechet"
FID = "fid"
"""The Frechet distance of Inception's features (`inception`); there where its weights are given."""

CPU_SECONDS, PEAK_BYTES = "cpu_seconds", "peak_bytes"
"""What an image costs (`cost`); there where it is measured, and of networks alone."""

CONFIDENCE = 0.95
_FRECHET_MOST = 1000
"""Photographs above which the Frechet distance gets no interval: each resample is a singular value
decomposition, of seconds from here on."""


@dataclass(frozen=True)
class Interval:
    """An estimate and its 95% interval; None where there is none (nothing measured, or not resampled)."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Row:
    """One way to colour, over one group; `labelled` counts photographs with an ImageNet class.

    `metrics`: by name of METRICS, SHARE, CHROMA_SHARE, DELTA, FRECHET, and where they are measured FID,
    CPU_SECONDS and PEAK_BYTES; `differences`: means of the paired ones to
    `evaluate.against`."""

    group: str
    colored_by: str
    photographs: int
    labelled: int
    metrics: dict[str, Interval]
    differences: dict[str, Interval]


@dataclass(frozen=True)
class _Group:
    """The photographs P of one group: `values_PEM` by entry E and metric M (NaN: null), `features_PED` of
    Lite0, `inception_PED` or None."""

    name: str
    entries: tuple[str, ...]
    values_PEM: F64
    features_PED: NDArray[np.float32]
    inception_PED: NDArray[np.float32] | None

    def of(self, name: str, chosen_P: NDArray[np.bool_]) -> _Group:
        """Some of its photographs."""
        inception = None if self.inception_PED is None else self.inception_PED[chosen_P]
        return _Group(name, self.entries, self.values_PEM[chosen_P], self.features_PED[chosen_P], inception)


def summarise(table: pa.Table, settings: EvaluateSection) -> list[Row]:
    """Rows by group, all photographs together first.

    Of several plates there are no rows of all together: the same scene is in each.

    Intervals: `bootstrap`, `resamples` of them from `seed`; the same resamples for every entry, so that
    differences are paired. `table` is of measure.SCHEMA, the rows of a photograph together, always in
    one order.
    """
    return [row for group in _groups(table, settings) for row in _rows(group, settings)]


def _groups(table: pa.Table, settings: EvaluateSection) -> Iterator[_Group]:
    entries = tuple(dict.fromkeys(table["colored_by"].to_pylist()))
    shape = (-1, len(entries))
    columns = [table[name].cast(pa.float64()) for name in METRICS[:-1]]
    columns.append(table["top1_correct"].cast(pa.int8()).cast(pa.float64()))
    values = np.stack([column.to_numpy().reshape(shape) for column in columns], axis=-1)
    features, inception = (_features(table, name, values.shape[:2]) for name in _FEATURES)
    assert features is not None
    whole = _Group(ALL, entries, values, features, inception)
    names = np.array(table["group"].to_pylist()).reshape(shape)[:, 0]
    if len(settings.plates) > 1:
        yield from (whole.of(name, names == name) for name in settings.plates)
        return
    yield whole
    if len(set(names)) > 1:
        for name in sorted(set(names)):
            yield whole.of(str(name), names == name)


_FEATURES = ("lite0_features", "inception_features")


def _features(table: pa.Table, name: str, shape: tuple[int, ...]) -> NDArray[np.float32] | None:
    """float32[P,E,D]; None where they were not measured."""
    column = table[name]
    if column.null_count:
        return None
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat.reshape(*shape, -1), np.float32)


def _rows(group: _Group, settings: EvaluateSection) -> Iterator[Row]:
    values, entries = group.values_PEM, group.entries
    photographs = len(values)
    resampled = resampled_means(values, settings.resamples, settings.seed)
    means = weighted_means(values, np.ones((1, photographs)))[0]
    against = values - values[:, [entries.index(settings.against)]]
    resampled_against = resampled_means(against, settings.resamples, settings.seed)
    means_against = weighted_means(against, np.ones((1, photographs)))[0]
    truth = entries.index(TRUTH)
    labelled = int(np.isfinite(values[:, truth, METRICS.index("top1_correct")]).sum())
    for e, name in sorted(enumerate(entries), key=lambda entry: entry[0] == truth):
        metrics = {m: _interval(means[e, i], resampled[:, e, i]) for i, m in enumerate(METRICS)}
        for name_of_share, column in ((SHARE, "colorfulness_signed"), (CHROMA_SHARE, "mean_chroma")):
            m = METRICS.index(column)
            with np.errstate(invalid="ignore", divide="ignore"):
                share = means[e, m] / means[truth, m]
                shares = resampled[:, e, m] / resampled[:, truth, m]
            metrics[name_of_share] = _interval(share, shares)
        m = METRICS.index("colorfulness_absolute")
        delta, deltas = abs(means[e, m] - means[truth, m]), abs(resampled[:, e, m] - resampled[:, truth, m])
        metrics[DELTA] = _interval(delta, deltas) if e != truth else Interval(None)
        metrics[FRECHET] = _frechet(group, e, settings) if e != truth else Interval(None)
        if group.inception_PED is not None:
            metrics[FID] = _fid(group.inception_PED, e, truth)
        differences = {}
        if name not in (settings.against, TRUTH):
            differences = {
                m: _interval(means_against[e, i], resampled_against[:, e, i]) for i, m in enumerate(METRICS)
            }
        yield Row(group.name, name, photographs, labelled, metrics, differences)


def _interval(value: float, resampled: F64) -> Interval:
    if not np.isfinite(value):
        return Interval(None)
    return Interval(float(value), *interval(resampled, CONFIDENCE))


def _frechet(group: _Group, entry: int, settings: EvaluateSection) -> Interval:
    """Resamples repeat photographs, which raises the distance: the interval is theirs, moved down so that
    their median is the estimate."""
    truth = group.entries.index(TRUTH)
    x, y = group.features_PED[:, truth], group.features_PED[:, entry]
    if len(x) < 2:
        return Interval(None)
    value = frechet_distance(x, y)
    if not settings.frechet_resamples or len(x) > _FRECHET_MOST:
        return Interval(value)
    rng = np.random.default_rng(settings.seed)
    counts = occurrences(rng, len(x), settings.frechet_resamples)
    resampled = np.array([frechet_distance(x, y, c) for c in counts if (c > 0).sum() > 1])
    if not resampled.size:
        return Interval(value)
    moved = np.maximum(resampled - np.median(resampled) + value, 0.0)
    return _interval(value, moved)


def _fid(inception_PED: NDArray[np.float32], entry: int, truth: int) -> Interval:
    """Without an interval, as papers have it: each resample is a decomposition of 2048 features."""
    if entry == truth or len(inception_PED) < 2:
        return Interval(None)
    return Interval(frechet_distance(inception_PED[:, truth], inception_PED[:, entry]))


def with_costs(rows: list[Row], costs: Mapping[str, Cost]) -> list[Row]:
    """The rows with what an image costs with each network, in the first group, which has all photographs."""
    if not rows or not costs:
        return rows

    def of(row: Row) -> Row:
        cost = costs.get(row.colored_by)
        if row.group != rows[0].group or cost is None:
            return row
        more = {CPU_SECONDS: Interval(cost.cpu_seconds), PEAK_BYTES: Interval(float(cost.peak_bytes))}
        return replace(row, metrics=row.metrics | more)

    return [of(row) for row in rows]


def as_json(rows: list[Row]) -> list[dict[str, Any]]:
    """Plain values, numbers to six significant digits; an interval is [value, low, high]."""

    def rounded(intervals: dict[str, Interval]) -> dict[str, list[float | None]]:
        return {
            name: [None if v is None else float(f"{v:.6g}") for v in (i.value, i.low, i.high)]
            for name, i in intervals.items()
        }

    return [
        {
            "group": row.group,
            "colored_by": row.colored_by,
            "photographs": row.photographs,
            "labelled": row.labelled,
            "metrics": rounded(row.metrics),
            "differences": rounded(row.differences),
        }
        for row in rows
    ]
