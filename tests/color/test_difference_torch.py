"""The difference that people see, as a loss: near CIEDE2000, with gradients everywhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.color import deltaE_ciede2000

from pipeline.color.difference_torch import chroma_difference


def pairs(seed: int, count: int = 4000) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    true = rng.normal(0, 25, (1, 2, count, 1))
    guess = true + rng.normal(0, 15, true.shape)
    return torch.from_numpy(guess).float(), torch.from_numpy(true).float()


def test_follows_ciede2000() -> None:
    guess, true = pairs(0)
    L = np.full((guess.shape[2], 1), 60.0)
    lab = [np.concatenate([L, ab[0, :, :, 0].T.double().numpy()], 1) for ab in (guess, true)]
    wanted = deltaE_ciede2000(*lab)  # type: ignore[no-untyped-call]
    result = chroma_difference(guess, true)[0, :, 0].numpy()
    assert np.corrcoef(result, wanted)[0, 1] > 0.97
    assert result.mean() == pytest.approx(wanted.mean(), rel=0.1)


def test_equal_colours_differ_by_nothing_and_have_gradients() -> None:
    true = torch.tensor([[0.0, 0.0], [30.0, -20.0]]).T[None, :, :, None]
    guess = true.clone().requires_grad_()
    difference = chroma_difference(guess, true)
    difference.sum().backward()
    assert difference.detach() == pytest.approx(torch.zeros(1, 2, 1), abs=0.05)
    assert torch.isfinite(guess.grad).all()


def test_what_is_ambiguous_goes_to_the_likelier_colour_and_not_to_the_mean() -> None:
    true = torch.zeros(1, 2, 100, 1)
    true[:, 1, :70] = -30.0  # seven of ten skies are blue, the others gray
    guesses = torch.linspace(-40, 5, 91)
    costs = []
    for b in guesses:
        guess = torch.zeros_like(true)
        guess[:, 1] = b
        costs.append(float(chroma_difference(guess, true).mean()))
    assert guesses[int(np.argmin(costs))] < -27  # the mean is -21
