"""The bootstrap: it agrees with scipy's, its intervals have their coverage, and it skips missing values."""

from __future__ import annotations

import numpy as np
import pytest
import scipy

from pipeline.evaluate.bootstrap import interval, resampled_means, weighted_means


def test_the_interval_is_that_of_scipy() -> None:
    values = np.random.default_rng(3).gamma(2.0, size=150)
    ours = interval(resampled_means(values, 20_000, 0), 0.95)
    theirs = scipy.stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=1)
    assert ours == pytest.approx(tuple(theirs.confidence_interval), abs=0.01)


@pytest.mark.slow
def test_the_interval_holds_the_truth_as_often_as_it_claims() -> None:
    held = 0
    for seed in range(300):
        values = np.random.default_rng(seed).normal(1.0, 1.0, 100)
        low, high = interval(resampled_means(values, 400, seed), 0.95)
        held += low <= 1.0 <= high
    assert 0.90 <= held / 300 <= 0.98


@pytest.mark.slow
def test_chunks_do_not_show() -> None:
    values = np.random.default_rng(0).normal(size=50_000)  # 200 resamples of these are drawn in two chunks
    means = resampled_means(values, 200, 0)
    assert means.shape == (200,)
    assert np.unique(means).size == 200
    assert means.std() == pytest.approx(values.std() / np.sqrt(50_000), rel=0.2)


def test_what_has_no_value_has_no_weight() -> None:
    values = np.array([[1.0, np.nan], [2.0, np.nan], [np.nan, np.nan]])
    means = weighted_means(values, np.array([[1.0, 1.0, 5.0], [3.0, 1.0, 0.0]]))
    np.testing.assert_array_equal(means, [[1.5, np.nan], [1.25, np.nan]])
