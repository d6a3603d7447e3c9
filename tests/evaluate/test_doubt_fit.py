"""Fitting doubt: increasing maps, numbers before features."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.errors import ConfigError
from pipeline.evaluate.doubt_fit import (
    FEWEST,
    Observed,
    calibrate,
    error_of_doubt,
    isotonic,
    ridge,
    with_photographs,
)
from pipeline.models.doubt import UNLIKE, DoubtInfo, decode_calibration, encode_calibration

VALUES = arrays(np.float64, st.integers(1, 40), elements=st.floats(-100, 100, width=32))
INFO = DoubtInfo("a" * 64, (), 0, 0)


def made(count: int, features: int, seed: int = 0) -> Observed:
    """Photographs whose error grows with the first number."""
    rng = np.random.default_rng(seed)
    hard = rng.uniform(0, 1, count)
    numbers = np.stack([hard + rng.normal(0, 0.05, count), rng.normal(0, 1, count)], 1)
    some = rng.normal(0, 1, (count, features))
    error = 5 + 10 * hard
    return Observed(("chroma_mean", "L_mean"), numbers, some, error)


@given(VALUES)
def test_isotonic_ascends_and_keeps_the_mean(values: np.ndarray) -> None:
    fitted = isotonic(values)
    assert (np.diff(fitted) >= 0).all()
    assert fitted.mean() == pytest.approx(values.mean(), abs=1e-6)
    assert values.min() - 1e-9 <= fitted.min() <= fitted.max() <= values.max() + 1e-9


def test_isotonic_of_small_cases() -> None:
    assert isotonic(np.array([1.0, 3, 2, 4])).tolist() == [1, 2.5, 2.5, 4]
    assert isotonic(np.array([3.0, 2, 1])).tolist() == [2, 2, 2]
    assert isotonic(np.array([1.0, 2, 3])).tolist() == [1, 2, 3]


def test_isotonic_is_the_nearest_that_ascends() -> None:
    values = np.array([2.0, 0.0, 3.0])
    grid = np.arange(-1, 4.01, 0.25)
    triples = np.stack(np.meshgrid(grid, grid, grid, indexing="ij"), -1).reshape(-1, 3)
    ascending = triples[(np.diff(triples, axis=1) >= 0).all(1)]
    best = ascending[np.square(ascending - values).sum(1).argmin()]
    np.testing.assert_allclose(isotonic(values), best)


def test_ridge_of_a_known_line() -> None:
    X = np.array([[1.0], [2], [3]])
    assert ridge(X, 2 * X[:, 0], 0.0) == pytest.approx([2])
    assert ridge(X, 2 * X[:, 0], 14.0) == pytest.approx([1])  # |X|^2 = 14: half of it


def test_errors_ascend_with_doubt() -> None:
    rng = np.random.default_rng(1)
    score = rng.normal(0, 1, 500)
    knots = error_of_doubt(score, np.exp(score + rng.normal(0, 0.5, 500)))
    assert (np.diff(knots) >= 0).all()
    assert knots[90] > 2 * knots[10]


def test_what_is_fitted_ranks_new_photographs() -> None:
    calibration = decode_calibration(encode_calibration(calibrate(made(400, 6), INFO)), "x")
    fresh = made(300, 6, seed=1)
    judged = [
        calibration.judge(
            dict(zip(fresh.names, map(float, numbers), strict=True)), features.astype(np.float32)
        )
        for numbers, features in zip(fresh.numbers_PK, fresh.features_PF, strict=True)
    ]
    doubt = np.array([one.doubt for one in judged])
    assert np.corrcoef(doubt, fresh.error_P)[0, 1] > 0.9
    assert doubt.mean() == pytest.approx(0.5, abs=0.05)
    assert np.mean([one.novelty for one in judged]) == pytest.approx(0.5, abs=0.1)
    expected = np.array([calibration.expected_error(float(one)) for one in doubt])
    assert np.abs(expected - fresh.error_P).mean() < 1


def test_without_features_there_is_doubt_alone() -> None:
    calibration = calibrate(made(300, 0), INFO)
    judged = calibration.judge({"chroma_mean": 0.9, "L_mean": 0.0}, None)
    assert judged.doubt is not None
    assert judged.doubt > 0.8
    assert judged.novelty is None


def test_novelty_is_measured_from_the_training_photographs() -> None:
    seen = made(300, 6)
    far = with_photographs(calibrate(seen, INFO), seen.features_PF + 30)
    numbers = {"chroma_mean": 0.5, "L_mean": 0.0}
    judged = [far.judge(numbers, (seen.features_PF[0] + shift).astype(np.float32)) for shift in (0, 30)]
    assert judged[0].novelty is not None
    assert judged[1].novelty is not None
    assert judged[0].novelty > UNLIKE > judged[1].novelty


def test_too_few_photographs_are_refused() -> None:
    with pytest.raises(ConfigError, match=f"too few to fit doubt on: give at least {FEWEST}"):
        calibrate(made(FEWEST - 1, 2), INFO)
