"""The measures of doubt compared with cases that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.evaluate.risk import (
    MEASURES,
    aurc,
    auroc,
    deciles,
    risk_at,
    spearman,
    with_interval,
    worst_tenth_ratio,
)

DOUBT = np.array([0.1, 0.2, 0.3, 0.4])
ERROR = np.array([1.0, 3.0, 2.0, 6.0])


def test_risk_of_the_least_doubtful() -> None:
    assert [risk_at(DOUBT, ERROR, share) for share in (1.0, 0.5, 0.25, 0.0)] == [3, 2, 1, 1]


def test_area_under_the_curve_is_the_mean_of_its_points() -> None:
    assert aurc(DOUBT, ERROR) == pytest.approx((1 + 2 + 2 + 3) / 4)


@given(arrays(np.float64, 20, elements=st.floats(0.5, 50, width=32)), st.permutations(range(20)))
def test_no_order_is_better_than_the_errors_own(error: np.ndarray, order: list[int]) -> None:
    assert aurc(error, error) <= aurc(np.array(order, float), error) + 1e-9


def test_auroc_counts_pairs() -> None:
    # the worst half is 3.0 and 6.0, doubted 0.2 and 0.4; of four pairs only (0.2, 0.3) is in the wrong order
    assert auroc(DOUBT, ERROR, 0.5) == pytest.approx(3 / 4)
    assert auroc(np.zeros(4), ERROR, 0.5) == pytest.approx(1 / 2)


def test_spearman_of_a_swap_and_of_nothing_to_rank() -> None:
    assert spearman(DOUBT, ERROR) == pytest.approx(0.8)
    assert np.isnan(spearman(np.zeros(4), ERROR))


def test_worst_tenth_and_deciles() -> None:
    doubt, error = np.linspace(0, 1, 20), np.arange(1.0, 21)
    assert worst_tenth_ratio(doubt, error) == pytest.approx(19.5 / 10.5)
    assert deciles(doubt, error)[0][1:] == (1.5, 2)
    assert deciles(doubt, error)[-1][1:] == (19.5, 2)


@pytest.mark.parametrize("name", MEASURES)
def test_intervals_hold_the_value(name: str) -> None:
    rng = np.random.default_rng(0)
    error = rng.uniform(1, 20, 100)
    value, low, high = with_interval(MEASURES[name], error + rng.normal(0, 5, 100), error, 100, 0)
    assert low < value < high
