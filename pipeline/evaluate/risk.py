"""How well doubt tells large errors from small ones: the measures of selective prediction."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy  # its package `stats`, which takes more than a second, loads on use
from numpy.typing import NDArray

from pipeline.evaluate.bootstrap import interval

F64 = NDArray[np.float64]

COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.5, 0.3, 0.1)
"""At which the risk-coverage curve is printed."""

WORST = 0.2
"""The largest errors that `auroc` wants to be told from the others, as a share."""

TENTH = 0.1


def risk_at(doubt_P: F64, error_P: F64, coverage: float) -> float:
    """The mean error of the share `coverage` of the photographs that is doubted least; at least one.

    Source: El-Yaniv and Wiener, "On the foundations of noise-free selective classification", JMLR 11, 2010.
    """
    kept = max(1, round(coverage * len(error_P)))
    return float(error_P[np.argsort(doubt_P, kind="stable")[:kept]].mean())


def aurc(doubt_P: F64, error_P: F64) -> float:
    """The area under the risk-coverage curve: the mean, over all coverages, of the mean error of what is
    kept.

    Source: Geifman, Uziel, El-Yaniv, "Bias-reduced uncertainty estimation for deep neural classifiers", ICLR
    2019, section 3.
    """
    sums = np.cumsum(error_P[np.argsort(doubt_P, kind="stable")])
    return float((sums / np.arange(1, len(sums) + 1)).mean())


def spearman(doubt_P: F64, error_P: F64) -> float:
    """Spearman's rank correlation of doubt and error, -1 to 1; NaN where one of them is constant."""
    if np.ptp(doubt_P) == 0 or np.ptp(error_P) == 0:
        return float("nan")
    return float(scipy.stats.spearmanr(doubt_P, error_P).statistic)


def auroc(doubt_P: F64, error_P: F64, worst: float = WORST) -> float:
    """The probability that of a photograph among the `worst` share by error and one of the others the first
    is doubted more; ties count a half.

    Source: Hanley and McNeil, "The meaning and use of the area under a ROC curve", Radiology 143(1), 1982.
    """
    count = max(1, round(worst * len(error_P)))
    is_worst = np.zeros(len(error_P), bool)
    is_worst[np.argsort(error_P, kind="stable")[-count:]] = True
    others = len(error_P) - count
    ranks = scipy.stats.rankdata(doubt_P)[is_worst].sum()
    return float((ranks - count * (count + 1) / 2) / (count * others)) if others else float("nan")


def worst_tenth_ratio(doubt_P: F64, error_P: F64) -> float:
    """The mean error of the tenth that is doubted most, by that of all."""
    count = max(1, round(TENTH * len(error_P)))
    return float(error_P[np.argsort(doubt_P, kind="stable")[-count:]].mean() / error_P.mean())


def deciles(doubt_P: F64, error_P: F64) -> list[tuple[float, float, int]]:
    """Mean doubt, mean error and number of photographs of each tenth by doubt, ascending; fewer for few."""
    order = np.argsort(doubt_P, kind="stable")
    parts = [part for part in np.array_split(order, 10) if len(part)]
    return [(float(doubt_P[part].mean()), float(error_P[part].mean()), len(part)) for part in parts]


MEASURES: dict[str, Callable[[F64, F64], float]] = {
    "spearman": spearman,
    "auroc_worst_fifth": auroc,
    "worst_tenth_by_mean": worst_tenth_ratio,
    "aurc": aurc,
}


def with_interval(
    measure: Callable[[F64, F64], float], doubt_P: F64, error_P: F64, resamples: int, seed: int
) -> tuple[float, float, float]:
    """The measure and its 95 % interval, percentile bootstrap over photographs."""
    rng, count = np.random.default_rng(seed), len(error_P)
    drawn = (rng.integers(count, size=count) for _ in range(resamples))
    values = np.array([measure(doubt_P[some], error_P[some]) for some in drawn])
    low, high = interval(values, 0.95) if np.isfinite(values).any() else (float("nan"), float("nan"))
    return measure(doubt_P, error_P), low, high
