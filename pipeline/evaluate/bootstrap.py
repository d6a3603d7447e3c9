"""The percentile bootstrap over photographs.

Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

_WEIGHTS_AT_ONCE = 2**23
"""Entries of the matrix of resamples in memory at a time: 64 MB."""


def weighted_means(values_P: F64, weight_RP: F64) -> F64:
    """Means over the photographs P that have a value, with each of R weightings, float64[R,...].

    `values_P`: float64[P,...]; NaN is no value. A mean is NaN where no photograph has a value.
    """
    flat = values_P.reshape(len(values_P), -1)
    known = np.isfinite(flat)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = (weight_RP @ np.where(known, flat, 0)) / (weight_RP @ known)
    return np.asarray(means.reshape(len(weight_RP), *values_P.shape[1:]), dtype=np.float64)


def resampled_means(values_P: F64, resamples: int, seed: int) -> F64:
    """Means of `resamples` samples of the P photographs with replacement, float64[resamples,...].

    `values_P` as for `weighted_means`. The same P and seed give the same samples, so that the differences of
    two tables are paired.
    """
    photographs = len(values_P)
    rng = np.random.default_rng(seed)
    at_once = max(1, _WEIGHTS_AT_ONCE // photographs)
    sizes = [min(at_once, resamples - start) for start in range(0, resamples, at_once)]
    weights = (occurrences(rng, photographs, size).astype(np.float64) for size in sizes)
    return np.concatenate([weighted_means(values_P, weight_RP) for weight_RP in weights])


def occurrences(rng: np.random.Generator, photographs: int, resamples: int) -> NDArray[np.int64]:
    """How often each photograph occurs in each resample, int64[resamples,photographs]."""
    return rng.multinomial(photographs, np.full(photographs, 1 / photographs), resamples)


def interval(resampled: F64, confidence: float) -> tuple[float, float]:
    """Lower and upper end of the percentile interval; NaN among the resamples does not count."""
    tail = 100 * (1 - confidence) / 2
    low, high = np.nanpercentile(resampled, [tail, 100 - tail])
    return float(low), float(high)
