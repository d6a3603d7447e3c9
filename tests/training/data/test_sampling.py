"""The order of training: fair by source, the same in every run, shared without overlap, cheap to read."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.training.data.sampling import Sampler, copies, row_weights

SOURCES = ["many"] * 810 + ["few"] * 90


def samplers(workers: int, seed: int = 0, batch: int = 10, window: int = 60) -> list[Sampler]:
    weights = row_weights(SOURCES, 0.5, {})
    groups = np.arange(900) // 25
    return [Sampler(weights, groups, seed, batch, worker, workers, window) for worker in range(workers)]


def epoch_rows(sampler: Sampler, epoch: int) -> np.ndarray:
    steps = sampler.epoch_steps
    return sampler.crops(range(epoch * steps, (epoch + 1) * steps)).rows


def test_sources_weigh_as_asked() -> None:
    for exponent, share in ((1.0, 90 / 900), (0.5, 1 / 4), (0.0, 1 / 2)):
        weights = row_weights(SOURCES, exponent, {})
        assert weights.mean() == pytest.approx(1)
        assert weights[-90:].sum() / weights.sum() == pytest.approx(share)
    halved = row_weights(SOURCES, 0, {"few": 0.5})
    assert halved[-90:].sum() / halved.sum() == pytest.approx(1 / 3)
    with pytest.raises(ConfigError, match="'fewer', which no photograph"):
        row_weights(SOURCES, 0, {"fewer": 2})
    with pytest.raises(ConfigError, match="above 0"):
        row_weights(["a"], 0, {"a": 0})


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 5), min_size=1, max_size=50), st.integers(0, 2**32))
def test_copies_are_the_weight_rounded_either_way(drawn: list[float], seed: int) -> None:
    weights = np.array(drawn)
    counted = copies(weights, np.random.default_rng(seed))
    assert np.all(counted >= np.floor(weights - 1e-9))
    assert np.all(counted <= np.ceil(weights + 1e-9))
    assert abs(counted.sum() - weights.sum()) <= 1


def test_copies_have_the_weight_as_their_mean() -> None:
    weights = np.array([0.25, 1.5, 0.0, 2.0, 1.25])
    rng = np.random.default_rng(0)
    mean = np.mean([copies(weights, rng) for _ in range(4000)], axis=0)
    np.testing.assert_allclose(mean, weights, atol=0.04)


def test_an_epoch_of_all_workers_shows_every_photograph_by_its_weight() -> None:
    weights = row_weights(SOURCES, 0.5, {})
    for workers in (1, 2, 3):
        shown = Counter(np.concatenate([epoch_rows(s, 2) for s in samplers(workers)]).tolist())
        assert shown.total() == 900
        for row, weight in enumerate(weights):
            assert np.floor(weight) <= shown[row] <= np.ceil(weight)


def test_every_step_can_be_computed_alone() -> None:
    one, other = samplers(2)[1], samplers(2)[1]
    steps = one.epoch_steps
    from_start = [one.crops(range(s, s + 1)) for s in range(2 * steps + 5)]
    late = other.crops(range(2 * steps + 3, 2 * steps + 5))
    for part, expected in zip((slice(0, 10), slice(10, 20)), from_start[-2:], strict=True):
        np.testing.assert_array_equal(late.rows[part], expected.rows)
        np.testing.assert_array_equal(late.seeds[part], expected.seeds)
    seeds = np.concatenate([crops.seeds for crops in from_start])
    assert len(np.unique(seeds, axis=0)) == len(seeds)  # no two crops are cut alike
    with pytest.raises(ValueError, match="over the end"):
        one.crops(range(steps - 1, steps + 1))


def test_epochs_workers_and_seeds_differ() -> None:
    first, second = samplers(2)
    rows = [epoch_rows(first, 0), epoch_rows(first, 1), epoch_rows(second, 0)]
    rows.append(epoch_rows(samplers(2, seed=1)[0], 0))
    for i, one in enumerate(rows):
        for other in rows[:i]:
            assert not np.array_equal(one, other)
    np.testing.assert_array_equal(rows[0], epoch_rows(samplers(2)[0], 0))


def test_a_window_reads_few_row_groups_and_is_shuffled() -> None:
    sampler = samplers(1)[0]
    window = sampler.window_of(8)
    assert window == range(6, 12)
    assert sampler.window_of(89) == range(84, 90)
    assert sampler.window_of(90) == range(90, 96)  # the next epoch begins a window of its own
    rows = sampler.crops(window).rows
    assert len(rows) == 60
    # 25 rows of a mean weight of 1 in a group; a window may begin and end within one
    assert len(np.unique(sampler.groups[rows])) <= 6
    assert not np.array_equal(sampler.groups[rows], np.sort(sampler.groups[rows]))


def test_fewer_photographs_than_a_step() -> None:
    sampler = Sampler(np.ones(3), np.zeros(3, dtype=np.int64), 0, 4, worker=1, workers=2)
    assert sampler.epoch_steps == 1
    assert set(epoch_rows(sampler, 0).tolist()) == {0, 1, 2}
