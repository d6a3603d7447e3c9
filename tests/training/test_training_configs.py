"""Every configuration file of training and evaluation validates; the shipped weights have their card."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config import load
from pipeline.models.registry import METHODS, load_colorizer, weights_digest
from pipeline.models.weights import SHIPPED
from pipeline.training.config import EvaluateConfig, PrepareConfig, TrainConfig

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
TRAIN = sorted(path for path in (CONFIGS / "train").glob("*.yaml") if path.name != "prepare.yaml")


@pytest.mark.parametrize("file", TRAIN, ids=lambda path: path.name)
def test_train(file: Path) -> None:
    assert load(TrainConfig, str(file)).model.method in METHODS


@pytest.mark.parametrize("file", sorted((CONFIGS / "evaluate").glob("*.yaml")), ids=lambda path: path.name)
def test_evaluate(file: Path) -> None:
    assert load(EvaluateConfig, str(file)).evaluate.method in METHODS


def test_prepare_lists_the_defaults() -> None:
    assert load(PrepareConfig, str(CONFIGS / "train" / "prepare.yaml")) == PrepareConfig()


@pytest.mark.parametrize("method", list(METHODS))
def test_shipped_weights(method: str) -> None:
    """They load, are small enough for a repository, and the model card speaks of these very bytes."""
    assert load_colorizer(method, None).method == method
    assert (SHIPPED / f"{method}.safetensors").stat().st_size <= 15_000_000
    card = (SHIPPED / f"{method}.md").read_text()
    assert weights_digest(method, None) in card
