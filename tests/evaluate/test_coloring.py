"""Means of several guesses, as entries of the evaluation."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.config.storage import StorageConfig
from pipeline.errors import WeightsError
from pipeline.evaluate.coloring import Coloring, mean_chroma, open_coloring
from pipeline.evaluate.settings import NetworkEntry

L_HW = np.random.default_rng(0).uniform(0, 100, (64, 96)).astype(np.float32)


def coloring(**entry: object) -> Coloring:
    return open_coloring(NetworkEntry.model_validate({"name": "one", **entry}), "fp32", StorageConfig())


def test_a_mirrored_look_has_no_side() -> None:
    alone, both = coloring(weights="iizuka-lab"), coloring(weights="iizuka-lab", mirrored=True)
    mirrored = np.ascontiguousarray(L_HW[:, ::-1])
    assert np.abs(alone(mirrored)[:, :, ::-1] - alone(L_HW)).max() > 0.1
    np.testing.assert_allclose(both(mirrored)[:, :, ::-1], both(L_HW), atol=1e-4)
    np.testing.assert_allclose(both(L_HW), (alone(L_HW) + alone(mirrored)[:, :, ::-1]) / 2, atol=1e-4)


def test_the_mean_with_another_network() -> None:
    parts = [coloring(weights=name)(L_HW) for name in ("iizuka-lab", "patch")]
    mean = coloring(weights="iizuka-lab", others=["patch"])(L_HW)
    np.testing.assert_array_equal(mean, mean_chroma(parts))
    assert mean.shape == max((part.shape for part in parts), key=lambda shape: shape[1])


def test_a_smaller_guess_is_enlarged() -> None:
    small = np.full((2, 2, 3), 10, np.float32)
    large = np.arange(48, dtype=np.float32).reshape(2, 4, 6)
    np.testing.assert_allclose(mean_chroma([small, large]), (large + 10) / 2, atol=1e-5)


def test_weights_that_are_not_there() -> None:
    with pytest.raises(WeightsError, match=r"nowhere\.safetensors"):
        coloring(weights="iizuka-lab", others=["nowhere.safetensors"])
