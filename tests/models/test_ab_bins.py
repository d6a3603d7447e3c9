"""Bins, soft-encoding, rebalancing and annealed mean against the equations of Zhang et al. 2016."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pipeline.color.spaces import srgb_to_lab
from pipeline.models import ab_bins
from pipeline.models.ab_bins import (
    BINS,
    GRID,
    NEIGHBOURS,
    BinHead,
    annealed_mean,
    bins,
    histogram,
    rebalancing,
    soft_encode,
)

levels = st.integers(0, 255)


def field(a: float, b: float) -> torch.Tensor:
    return torch.tensor([a, b]).reshape(1, 2, 1, 1)


def gamut_surface() -> NDArray[np.float64]:
    """ab of every 8-bit colour on the six faces of the sRGB cube, n x 2: their outline is the gamut's."""
    level = np.arange(256) / 255
    u, v = np.meshgrid(level, level, indexing="ij")
    faces = []
    for channel in range(3):
        for end in (0.0, 1.0):
            face = np.empty((*u.shape, 3))
            face[..., channel], face[..., (channel + 1) % 3], face[..., (channel + 2) % 3] = end, u, v
            faces.append(face.reshape(-1, 3))
    return np.asarray(srgb_to_lab(np.concatenate(faces))[:, 1:], dtype=np.float64)


def test_the_bins_are_the_points_of_the_grid_within_13_and_a_half_of_the_gamut() -> None:
    steps = np.arange(-130, 131, GRID)
    grid = np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2)
    distance, _ = cKDTree(gamut_surface()).query(grid)
    np.testing.assert_array_equal(bins().numpy(), grid[distance <= 13.5])


def test_there_are_313_bins_on_the_grid() -> None:
    centres = bins()
    assert centres.shape == (BINS, 2) == (313, 2)
    assert bool((centres % GRID == 0).all())
    assert len(centres.unique(dim=0)) == BINS
    assert [0.0, 0.0] in centres.tolist()


@given(levels, levels, levels)
def test_a_colour_is_encoded_by_its_nearest_bins(red: int, green: int, blue: int) -> None:
    """The weights are the Gaussian's and sum to 1; what they mean on average is near the colour."""
    ab = srgb_to_lab(np.array([red, green, blue], dtype=np.float64) / 255)[1:]
    index, weight = soft_encode(torch.tensor(ab, dtype=torch.float32).reshape(1, 2, 1, 1))
    assert index.shape == weight.shape == (1, NEIGHBOURS, 1, 1)
    distances = np.hypot(*(bins().numpy() - np.round(ab)).T)
    assert set(distances[index.flatten()].round(3)) <= set(np.sort(distances)[:NEIGHBOURS].round(3))
    assert float(weight.sum()) == pytest.approx(1, abs=1e-5)
    expected = np.exp(-(distances[index.flatten()] ** 2) / 50)
    np.testing.assert_allclose(weight.flatten(), expected / expected.sum(), atol=1e-5)
    # No sRGB colour is so far outside the bins that the encoding moves it by more than a bin's width.
    mean = (weight.flatten()[:, None] * bins()[index.flatten()]).sum(0).numpy()
    assert np.hypot(*(mean - ab)) < GRID


def test_the_annealed_mean_lies_between_mean_and_mode() -> None:
    """Equation 5 on two bins: T = 1 is the mean, T near 0 the likelier of the two."""
    red = int((bins() == torch.tensor([50.0, 20.0])).all(1).nonzero())
    blue = int((bins() == torch.tensor([-10.0, -40.0])).all(1).nonzero())
    logits = torch.full((1, BINS, 1, 1), -1e4)
    logits[0, red], logits[0, blue] = np.log(0.6), np.log(0.4)
    mean = annealed_mean(logits, 1.0).flatten()
    torch.testing.assert_close(mean, 0.6 * bins()[red] + 0.4 * bins()[blue], rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(annealed_mean(logits, 0.01).flatten(), bins()[red], rtol=1e-4, atol=1e-3)
    share = 0.6 ** (1 / 0.38) / (0.6 ** (1 / 0.38) + 0.4 ** (1 / 0.38))
    between = share * bins()[red] + (1 - share) * bins()[blue]
    torch.testing.assert_close(annealed_mean(logits).flatten(), between, rtol=1e-4, atol=1e-3)


def test_the_annealed_mean_spoils_logits_only_where_it_may() -> None:
    logits = torch.randn(2, BINS, 3, 5, generator=torch.Generator().manual_seed(0))
    kept = logits.clone()
    ab = annealed_mean(logits)
    assert ab.shape == (2, 2, 3, 5)
    torch.testing.assert_close(logits, kept, rtol=0, atol=0)
    torch.testing.assert_close(annealed_mean(logits, overwrite=True), ab, rtol=0, atol=0)
    row = annealed_mean(kept[1:, :, 2:])
    torch.testing.assert_close(row, ab[1:, :, 2:])


def test_rebalancing_follows_equation_4() -> None:
    prior = torch.zeros(BINS)
    gray = int((bins() == 0).all(1).nonzero())
    prior[gray], prior[0] = 0.9, 0.1
    weights = rebalancing(prior, 0.5)
    assert weights[gray] < weights[0] < weights[BINS // 3]  # the rarer, the heavier
    even = rebalancing(prior, 1.0)
    torch.testing.assert_close(even, torch.full((BINS,), float(even[0])), rtol=1e-5, atol=0)
    distance = torch.cdist(bins().double(), bins().double())
    kernel = torch.exp(-(distance**2) / 50)
    smooth = kernel / kernel.sum(0, keepdim=True) @ prior.double()
    assert float((smooth / smooth.sum() * weights).sum()) == pytest.approx(1, abs=1e-5)


def test_the_loss_is_least_where_the_distribution_is_right() -> None:
    head = BinHead()
    truth = field(33.0, -21.0)
    index, weight = soft_encode(truth)
    right = torch.full((1, BINS, 1, 1), -30.0).scatter(1, index, weight.clamp(min=1e-12).log())
    entropy = -float((weight * weight.clamp(min=1e-12).log()).sum())
    assert float(head.loss(right, truth, None)) == pytest.approx(entropy, abs=1e-3)
    assert float(head.loss(torch.zeros(1, BINS, 1, 1), truth, None)) == pytest.approx(np.log(BINS), abs=1e-3)
    head.prior_Q.fill_(0)
    head.prior_Q[int(index[0, 0])] = 1  # a colour that is everywhere weighs less than one
    assert float(head.loss(right, truth, 0.5)) < float(head.loss(right, truth, None)) * 1.01


def test_rebalancing_can_be_taken_back() -> None:
    """A distribution times the weights, normalised, is what rebalanced training makes; it comes back."""
    head = BinHead()
    generator = torch.Generator().manual_seed(0)
    head.prior_Q.copy_(torch.softmax(3 * torch.randn(BINS, generator=generator), 0))
    plain = torch.softmax(torch.randn(BINS, generator=generator), 0)
    rebalanced = plain * head.weights(0.5)
    logits = (rebalanced / rebalanced.sum()).log()[None, :, None, None]
    back = torch.softmax(head.without_rebalancing(logits, 1.0), 1).flatten()
    torch.testing.assert_close(back, plain, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(head.without_rebalancing(logits, 0.0), logits)


def test_histogram_counts_the_nearest() -> None:
    counts = histogram(np.array([[0.2, -0.4], [4.0, 4.0], [50.4, 19.0]]))
    assert counts.sum() == 3
    assert counts[int((bins() == 0).all(1).nonzero())] == 2


def test_what_a_prediction_asked_for_first_serves_training_too() -> None:
    ab_bins.bins.cache_clear()
    with torch.inference_mode():
        annealed_mean(torch.zeros(1, BINS, 1, 1))
    logits = torch.zeros(1, BINS, 1, 1, requires_grad=True)
    annealed_mean(logits).square().sum().backward()
    assert logits.grad is not None
