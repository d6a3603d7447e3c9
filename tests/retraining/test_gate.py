"""The gate: clearly better networks pass, clearly worse ones do not, and noise counts as equal."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigError, RunError
from pipeline.retraining.gate import GateMetric, GateSection, decide, promoted, verdict

PSNR = GateMetric(name="psnr_db", better="higher", tolerance=0.1)
ERROR = GateMetric(name="ciede2000", better="lower", tolerance=0.1)
BOTH = GateSection(metrics=(PSNR, ERROR), resamples=500)
seeds = st.integers(0, 2**32 - 1)


def table(**columns: dict[str, np.ndarray]) -> pa.Table:
    """Columns by metric, then by who coloured."""
    (first, *_) = columns.values()
    rows = [
        {"key": f"{i:04d}.jpg", "colored_by": name}
        | {metric: None if np.isnan(v[name][i]) else float(v[name][i]) for metric, v in columns.items()}
        for name, values in first.items()
        for i in range(len(values))
    ]
    return pa.Table.from_pylist(rows)


def pair(seed: int, gain: float, noise: float = 0.5, count: int = 200) -> pa.Table:
    """Photographs of very different difficulty; the challenger gains `gain` on average, on both metrics."""
    rng = np.random.default_rng(seed)
    psnr, error = rng.normal(23, 4, count), rng.normal(11, 3, count)
    shift = gain + rng.normal(0, noise, (2, count))
    return table(
        psnr_db={"new": psnr + shift[0], "old": psnr}, ciede2000={"new": error - shift[1], "old": error}
    )


@settings(max_examples=25, deadline=None)
@given(seeds, st.floats(0.3, 5))
def test_a_clear_improvement_is_promoted(seed: int, gain: float) -> None:
    differences = decide(pair(seed, gain), "new", ("old",), BOTH)
    assert [d.verdict for d in differences] == ["better", "better"]
    assert promoted(differences, BOTH)


@settings(max_examples=25, deadline=None)
@given(seeds, st.floats(0.3, 5))
def test_a_clear_loss_is_not(seed: int, loss: float) -> None:
    differences = decide(pair(seed, -loss), "new", ("old",), BOTH)
    assert [d.verdict for d in differences] == ["worse", "worse"]
    assert not promoted(differences, BOTH)
    assert not promoted(differences, BOTH.model_copy(update={"require_better": False}))


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_noise_around_zero_is_equal_and_enough_only_if_the_operator_says_so(seed: int) -> None:
    result = pair(seed, 0.0, noise=0.2)
    # exactly around zero: chance may otherwise look like an improvement, one time in forty
    centred = result.set_column(
        result.column_names.index("psnr_db"), "psnr_db", pa.array(_centred(result, "psnr_db"))
    )
    only = BOTH.model_copy(update={"metrics": (PSNR,)})
    (difference,) = decide(centred, "new", ("old",), only)
    assert difference.verdict == "equal"
    assert difference.low < 0 < difference.high
    assert not promoted((difference,), only)
    assert promoted((difference,), only.model_copy(update={"require_better": False}))


def _centred(found: pa.Table, name: str) -> np.ndarray:
    values = found[name].to_numpy().reshape(2, -1).copy()
    values[0] -= (values[0] - values[1]).mean()
    return values.ravel()


def test_one_worse_metric_outweighs_every_better_one() -> None:
    result = pair(1, 2.0)
    worse = result.set_column(
        3, "ciede2000", pa.array(np.where(np.arange(400) < 200, 15.0, 11.0) + np.arange(400) % 2)
    )
    differences = decide(worse, "new", ("old",), BOTH)
    assert [d.verdict for d in differences] == ["better", "worse"]
    assert not promoted(differences, BOTH)


def test_every_reference_must_be_met() -> None:
    rng = np.random.default_rng(0)
    old = rng.normal(23, 4, 100)
    result = table(psnr_db={"new": old + 1, "gray": old, "constant tint": old + 2})
    config = GateSection(metrics=(PSNR,))
    differences = decide(result, "new", ("gray", "constant tint"), config)
    assert [(d.reference, d.verdict) for d in differences] == [("gray", "better"), ("constant tint", "worse")]
    assert not promoted(differences, config)
    assert promoted(differences[:1], config)
    assert not promoted((), config)


@pytest.mark.parametrize(
    ("low", "mean", "high", "by_mean", "by_interval"),
    [
        (0.01, 0.02, 0.03, "better", "better"),
        (0.0, 0.02, 0.03, "equal", "equal"),
        (-0.05, 0.0, 0.05, "equal", "equal"),
        (-0.3, 0.0, 0.3, "equal", "worse"),  # too few photographs to rule out a loss
        (-0.09, -0.05, -0.01, "equal", "equal"),  # a loss, but one that nobody notices
        (-0.15, -0.05, -0.01, "equal", "worse"),
        (-0.3, -0.11, 0.08, "worse", "worse"),
        (-0.5, -0.4, -0.3, "worse", "worse"),
    ],
)
def test_verdicts(low: float, mean: float, high: float, by_mean: str, by_interval: str) -> None:
    assert verdict(mean, low, high, PSNR, "mean") == by_mean
    assert verdict(mean, low, high, PSNR, "interval") == by_interval
    # a metric that should fall is the mirror image
    assert verdict(-mean, -high, -low, ERROR, "mean") == by_mean
    assert verdict(-mean, -high, -low, ERROR, "interval") == by_interval


def test_the_same_seed_and_photographs_decide_the_same_in_any_order_of_rows() -> None:
    result = pair(5, 0.05)
    shuffled = result.take(np.random.default_rng(0).permutation(result.num_rows))
    assert decide(result, "new", ("old",), BOTH) == decide(shuffled, "new", ("old",), BOTH)
    other = BOTH.model_copy(update={"seed": 1})
    assert decide(result, "new", ("old",), BOTH)[0].low != decide(result, "new", ("old",), other)[0].low


def test_photographs_without_a_value_for_a_metric_do_not_count() -> None:
    values = np.where(np.arange(100) < 40, 1.0, np.nan)
    result = table(top1_correct={"new": values, "old": values * 0})
    config = GateSection(metrics=(GateMetric(name="top1_correct", better="higher", tolerance=0.0),))
    (difference,) = decide(result, "new", ("old",), config)
    assert (difference.photographs, difference.difference, difference.verdict) == (40, 1.0, "better")


def test_what_cannot_be_judged_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"20 photographs have a psnr_db, too few.*min_photographs is 30"):
        decide(pair(0, 1.0, count=20), "new", ("old",), BOTH)
    with pytest.raises(RunError, match=r"unknown \(0\) were not measured on the same"):
        decide(pair(0, 1.0), "new", ("unknown",), BOTH)
    result = pair(0, 1.0)
    with pytest.raises(RunError, match=r"the same photographs \(0199.jpg\)"):
        decide(result.slice(0, result.num_rows - 1), "new", ("old",), BOTH)
    with pytest.raises(RunError, match="twice"):
        decide(pa.concat_tables([result, result]), "new", ("old",), BOTH)
    with pytest.raises(ConfigError, match="no column 'ssim'"):
        decide(result, "new", ("old",), GateSection(metrics=(PSNR.model_copy(update={"name": "ssim"}),)))
    one = table(psnr_db={"new": np.full(40, np.inf), "old": np.full(40, 20.0)})
    with pytest.raises(ConfigError, match=r"0000\.jpg has no finite psnr_db"):
        decide(one, "new", ("old",), BOTH)
