"""A calibration of doubt: its maps, its file, and what it says about a picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.errors import WeightsError
from pipeline.models.doubt import (
    STEPS,
    UNLIKE,
    Calibration,
    DoubtInfo,
    calibration_uri,
    decode_calibration,
    encode_calibration,
    find_calibration,
    novelty,
    percentile,
    picture_numbers,
)

VALUES = st.floats(-50, 50, width=32)
KNOTS = arrays(np.float64, st.integers(2, 30), elements=VALUES).map(np.sort)
DIGEST = "a" * 64


def small(digest: str = DIGEST) -> Calibration:
    """Two numbers and three features; the score is the chroma's mean plus the first feature."""
    return Calibration(
        info=DoubtInfo(digest, ("chroma_mean", "L_mean"), 3, 500, ("here",)),
        mean_N=np.zeros(5),
        deviation_N=np.ones(5),
        slope_N=np.array([1.0, 0, 1, 0, 0]),
        bias=0.0,
        score_S=np.linspace(0, 10, STEPS),
        error_S=np.linspace(4, 20, STEPS),
        center_F=np.zeros(3),
        axes_RF=np.eye(3)[:1],
        length_R=np.array([2.0]),
        rest=1.0,
        distance_S=np.linspace(0, 4, STEPS),
    )


@given(KNOTS, VALUES, VALUES)
def test_percentile_is_monotone_and_within_0_and_1(knots: np.ndarray, one: float, other: float) -> None:
    low, high = (percentile(value, knots) for value in sorted((one, other)))
    assert 0 <= low <= high <= 1


def test_percentile_of_small_cases() -> None:
    knots = np.array([1.0, 2, 2, 2, 5])
    assert [percentile(value, knots) for value in (0.0, 1, 1.5, 2, 3.5, 5, 9)] == pytest.approx(
        [0, 0, 0.125, 0.5, 0.875, 1, 1]
    )


@given(arrays(np.float64, STEPS, elements=st.floats(0.5, 50, width=32)).map(np.sort), VALUES, VALUES)
def test_novelty_is_monotone_and_never_full(knots: np.ndarray, one: float, other: float) -> None:
    low, high = (novelty(value, knots) for value in sorted((abs(one), abs(other))))
    assert 0 <= low <= high < 1


def test_novelty_tells_far_from_further() -> None:
    knots = np.linspace(0, 1, STEPS)
    assert novelty(0.5, knots) == pytest.approx(0.5)
    assert UNLIKE < novelty(2.0, knots) < novelty(20.0, knots) < 1


def test_a_picture_is_judged_by_numbers_and_features() -> None:
    judged = small().judge({"chroma_mean": 3.0, "L_mean": 50.0}, np.array([2, 0, 0.1], np.float32))
    assert judged.doubt == pytest.approx(0.5)
    # distance: sqrt((2 / 2)^2 + 0.1^2) / sqrt(3), of knots from 0 to 4
    assert judged.novelty == pytest.approx(np.sqrt(1.01 / 3) / 4, abs=1e-6)


def test_what_is_not_finite_is_not_known() -> None:
    judged = small().judge({"chroma_mean": float("nan"), "L_mean": 50.0}, np.zeros(3, np.float32))
    assert (judged.doubt, judged.novelty) == (None, None)


def test_other_signals_are_refused() -> None:
    with pytest.raises(ValueError, match="other signals"):
        small().judge({"chroma_mean": 3.0}, np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="other signals"):
        small().judge({"chroma_mean": 3.0, "L_mean": 50.0}, None)


def test_the_file_holds_all_of_it() -> None:
    one = small()
    again = decode_calibration(encode_calibration(one), "x.doubt")
    assert again.info == one.info
    features = np.array([0.5, 0.25, 0.75], np.float32)
    judged, before = (each.judge({"chroma_mean": 3.0, "L_mean": 50.0}, features) for each in (again, one))
    assert (judged.doubt, judged.novelty) == pytest.approx((before.doubt, before.novelty), abs=1e-6)


@pytest.mark.parametrize(
    "damage",
    [
        lambda one: replace(one, score_S=one.score_S[::-1].copy()),
        lambda one: replace(one, slope_N=np.zeros(4)),
        lambda one: replace(one, slope_N=np.full(5, np.nan)),
        lambda one: replace(one, info=replace(one.info, numbers=("chroma_mean", "moon"))),
    ],
    ids=["descends", "shape", "nan", "unknown number"],
)
def test_a_damaged_file_is_one_line(damage: object) -> None:
    data = encode_calibration(damage(small()))  # type: ignore[operator]
    with pytest.raises(WeightsError, match=r"^x\.doubt is not a calibration of doubt: "):
        decode_calibration(data, "x.doubt")


def test_bytes_of_another_kind_are_refused() -> None:
    with pytest.raises(WeightsError, match="is not a calibration of doubt"):
        decode_calibration(b"no safetensors", "x.doubt")


def test_it_is_found_beside_its_weights(tmp_path: Path) -> None:
    weights = tmp_path / "own.safetensors"
    assert find_calibration(str(weights), DIGEST) is None
    (tmp_path / "own.doubt").write_bytes(encode_calibration(small()))
    known = find_calibration(f"{weights}#sha256={DIGEST}", DIGEST)
    assert known is not None
    assert known.info == small().info
    assert find_calibration(str(weights), "b" * 64) is None  # of other weights


def test_where_it_lies() -> None:
    assert calibration_uri("s3://b/k/net.onnx#sha256=" + DIGEST) == "s3://b/k/net.doubt"
    assert calibration_uri("a.b/own") == "a.b/own.doubt"


def test_numbers_of_a_picture() -> None:
    L = np.tile(np.array([20, 80], np.float32), (8, 4))
    ab = np.stack([np.full((4, 4), 3, np.float32), np.full((4, 4), 4, np.float32)])
    assert picture_numbers(L, ab) == pytest.approx(
        {
            "chroma_mean": 5, "chroma_high": 5, "L_mean": 50, "L_deviation": 30, "L_low": 20, "L_middle": 50,
            "L_high": 80,
        }
    )  # fmt: skip
