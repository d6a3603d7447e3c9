"""A training run that starts from trained weights takes every tensor, but none of another network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipeline.errors import ConfigError, WeightsError
from pipeline.models.base import TrainableColorizer
from pipeline.models.methods.iizuka import IizukaColorizer
from pipeline.models.methods.unet import UnetColorizer
from pipeline.models.weights import WeightsInfo, encode_weights
from pipeline.training.warm_start import warm_start


def saved(model: TrainableColorizer, labels: tuple[str, ...], folder: Path) -> str:
    info = WeightsInfo(
        model.method, model.architecture(), (1, 2), model.ab_range, model.normalisation, labels
    )
    path = folder / "weights.safetensors"
    path.write_bytes(encode_weights(model.state_dict(), info, half=False))
    return str(path)


def equal(one: TrainableColorizer, other: TrainableColorizer, but: str = "nothing") -> bool:
    theirs = other.state_dict()
    return all(torch.equal(t, theirs[n]) for n, t in one.state_dict().items() if but not in n)


def test_takes_everything_over(tmp_path: Path) -> None:
    trained, fresh = UnetColorizer(0.125, head="both"), UnetColorizer(0.125, head="both")
    assert not equal(trained, fresh)
    warm_start(fresh, saved(trained, (), tmp_path), ())
    assert equal(trained, fresh)


def test_a_frozen_encoder_is_the_packages_own(tmp_path: Path) -> None:
    options = {"width": 0.25, "encoder": "efficientnet_lite0", "frozen": 16, "global_branch": True}
    trained, fresh = UnetColorizer(**options), UnetColorizer(**options)
    warm_start(fresh, saved(trained, (), tmp_path), ())
    assert equal(trained, fresh)
    L_B1HW = torch.rand(1, 1, 32, 32) * 100
    assert torch.equal(trained.eval().predict_ab(L_B1HW), fresh.eval().predict_ab(L_B1HW))


@pytest.mark.slow
def test_an_encoder_that_is_to_learn_now_begins_as_the_packages_own(tmp_path: Path) -> None:
    options = {"width": 0.25, "encoder": "efficientnet_lite0", "frozen": 16, "global_branch": True}
    trained, fresh = UnetColorizer(**options), UnetColorizer(**(options | {"frozen": 5}))
    warm_start(fresh, saved(trained, (), tmp_path), ())
    L_B1HW = torch.rand(1, 1, 32, 32) * 100
    assert torch.equal(trained.eval().predict_ab(L_B1HW), fresh.eval().predict_ab(L_B1HW))
    with pytest.raises(ConfigError, match="another network"):
        warm_start(UnetColorizer(**(options | {"width": 0.5})), saved(trained, (), tmp_path), ())


def test_an_encoder_that_has_learned_cannot_become_the_packages_own(tmp_path: Path) -> None:
    options = {"width": 0.25, "encoder": "efficientnet_lite0", "global_branch": True}
    weights = saved(UnetColorizer(**options, frozen=5), (), tmp_path)
    with pytest.raises(ConfigError, match=r"own.*model\.frozen=15 or less"):
        warm_start(UnetColorizer(**options, frozen=16), weights, ())
    trained, still = UnetColorizer(**options, frozen=5), UnetColorizer(**options, frozen=15)
    warm_start(still, saved(trained, (), tmp_path), ())
    assert equal(trained, still)


def test_other_labels_are_learned_anew(tmp_path: Path) -> None:
    trained, fresh = IizukaColorizer(0.05, classes=3), IizukaColorizer(0.05, classes=2)
    head = fresh.state_dict()["network.classifier.1.weight"].clone()
    warm_start(fresh, saved(trained, ("a", "b", "c"), tmp_path), ("a", "d"))
    assert equal(trained, fresh, but="classifier.")
    assert torch.equal(fresh.state_dict()["network.classifier.1.weight"], head)


def test_refuses_another_network(tmp_path: Path) -> None:
    wide, narrow = UnetColorizer(0.25), UnetColorizer(0.125)
    before = {name: tensor.clone() for name, tensor in narrow.state_dict().items()}
    with pytest.raises(ConfigError, match="another network"):
        warm_start(narrow, saved(wide, (), tmp_path), ())
    assert all(torch.equal(tensor, narrow.state_dict()[name]) for name, tensor in before.items())
    with pytest.raises(WeightsError, match="are for the method 'unet'"):
        warm_start(IizukaColorizer(0.05), saved(wide, (), tmp_path), ())
