"""The arithmetic of `tests.support.error_left`."""

from __future__ import annotations

import numpy as np
import torch

from tests.support.error_left.cells import from_cells, to_cells
from tests.support.error_left.lent import Axes, Remembered, lent_to, unit
from tests.support.error_left.ridge import FOLDS, by_folds


def test_a_fit_finds_what_explains_and_promises_nothing_of_what_does_not() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2000, 30), np.float32)
    fold, weight = np.arange(2000) % FOLDS, np.ones(2000)
    true = x[:, :2] * np.float32([3, -2]) + np.float32([5, 1])
    left_out, other = by_folds(x[:1500], true[:1500], weight[:1500], fold[:1500], x[1500:], 2)
    assert np.abs(left_out - true[:1500]).max() < 0.1
    assert np.abs(other - true[1500:]).max() < 0.1

    noise = rng.standard_normal((1500, 2), np.float32)
    left_out, _ = by_folds(x[:1500], noise, weight[:1500], fold[:1500], x[1500:], 2)
    gained = np.square(noise).mean() - np.square(noise - left_out).mean()
    assert gained < 0.01, "what was fitted must not be judged on itself"


def test_cells_without_weight_do_not_count() -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((1000, 3), np.float32)
    true = x[:, :2].copy()
    wrong = np.arange(1000) >= 500
    seen = np.where(wrong[:, None], np.float32(90), true)
    left_out, _ = by_folds(x, seen, np.where(wrong, 0.0, 1.0), np.arange(1000) % FOLDS, x, 1)
    assert np.abs(left_out - true).max() < 0.1


def test_like_photographs_lend_their_colours() -> None:
    red, blue = np.float32([40, 20]), np.float32([0, -30])
    rng = np.random.default_rng(2)
    pooled = unit(
        rng.standard_normal((6, 8), np.float32) * 0.01 + np.eye(8, dtype=np.float32)[[0] * 3 + [1] * 3]
    )
    cells = np.broadcast_to(np.eye(4, dtype=np.float16)[:2], (6, 2, 4))
    ab = np.stack([np.stack([red, red / 2])] * 3 + [np.stack([blue, blue / 2])] * 3)
    store = Remembered(pooled, cells, ab)
    whole, each = lent_to(pooled[0], np.eye(4, dtype=np.float32)[[1, 0]], store, photographs=3, neighbours=3)
    np.testing.assert_allclose(whole.ab_N2, [red * 0.75], rtol=1e-5)
    np.testing.assert_allclose(each.ab_N2, [red / 2, red], rtol=1e-5)
    np.testing.assert_allclose(each.spread_N1, 0, atol=1e-4)
    assert whole.cosine_N1.item() > 0.99


def test_main_axes_keep_what_varies() -> None:
    values = (
        np.random.default_rng(3).standard_normal((500, 3)).astype(np.float32) * np.float32([1, 9, 0.1]) + 4
    )
    axes = Axes.of(values, 1)
    assert abs(axes.axes_FR[1, 0]) > 0.99
    np.testing.assert_allclose(axes(values).mean(), 0, atol=1e-3)


def test_cells_cover_a_picture_whose_sides_are_no_whole_cells() -> None:
    plane = torch.arange(2 * 20 * 28, dtype=torch.float32).reshape(1, 2, 20, 28)  # of 40 x 56 pixels
    cells = to_cells(plane, 8)
    assert cells.shape == (1, 2, 4, 4)
    assert cells[0, 0, 0, 0] == plane[0, 0, :8, :8].mean()
    back = from_cells(np.full((2, 4, 4), 7, np.float32), (20, 28))
    assert back.shape == (2, 20, 28)
    np.testing.assert_array_equal(back, 7)
