"""Every configuration file of training and evaluation validates; the shipped weights have their card."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pipeline.config.loading import load
from pipeline.evaluate.choice_settings import ChoiceConfig
from pipeline.evaluate.settings import EvaluateConfig
from pipeline.models.method_list import NETWORKS, load_colorizer, weights_info
from pipeline.models.weights_location import SHIPPED, shipped_names
from pipeline.photographs.settings import PrepareConfig
from pipeline.retraining.champion import RetrainConfig
from pipeline.retraining.family import family_of
from pipeline.training.settings import TrainConfig
from tests.support.paths import REPO

CONFIGS = REPO / "configs"
TRAIN = sorted((CONFIGS / "train").glob("*.yaml"))
FAMILIES = sorted((CONFIGS / "train_family").glob("*.yaml"))


@pytest.mark.parametrize("file", TRAIN, ids=lambda path: path.name)
def test_train(file: Path) -> None:
    assert load(TrainConfig, str(file)).model.method in NETWORKS


@pytest.mark.parametrize("weights", ["faithful", "vivid"])
def test_the_shipped_network_is_the_one_that_its_configurations_train(weights: str) -> None:
    """The mean of what the first training made and of two moments of the second one."""
    info = weights_info(None, weights)
    parts = info.provenance["mean_of"]
    for file, part in zip(("faithful", "old-light", "old-light"), parts, strict=True):
        config = load(TrainConfig, str(CONFIGS / "train" / f"{file}.yaml"))
        assert config.model.method == info.method
        options = config.model.options()
        assert {**options, "frozen": 5}.items() <= info.architecture.items()
        assert options["frozen"] == part["settings"]["model"]["frozen"]
        # What was not yet to be chosen when the weights were made has its default.
        compared = {name: part["settings"][name] for name in ("data", "loss", "optim")}
        trained = TrainConfig.model_validate(compared).model_dump(mode="json")
        stated = config.model_dump(mode="json")
        assert (trained["loss"], trained["optim"]) == (stated["loss"], stated["optim"])
        decided_by_the_run = {"photos", "stream"}
        for name in stated["data"].keys() - decided_by_the_run:
            assert trained["data"][name] == stated["data"][name], name


def test_the_users_own_training_is_of_the_shipped_network() -> None:
    own, first = (load(TrainConfig, str(CONFIGS / "train" / f"{name}.yaml")) for name in ("own", "faithful"))
    assert own.model == first.model


@pytest.mark.parametrize("name", ["old-light", "gains"])
def test_choosing_a_decoding_holds_out_what_the_training_holds_out(name: str) -> None:
    choice = load(ChoiceConfig, str(CONFIGS / "choose_decoding" / f"{name}.yaml"))
    trained = load(TrainConfig, str(CONFIGS / "train" / "old-light.yaml"))
    assert choice.data.hold_out == trained.data.hold_out


def test_family() -> None:
    """Every run validates, under its own name, and all have the same photographs and the same budget."""
    family = family_of(str(CONFIGS / "train_family" / "methods.yaml"), TrainConfig)
    assert [run.train.name for run in family.values()] == list(family)
    shared = [
        run.model_dump(include={"data": True, "optim": True, "train": {"steps", "batch"}})
        for run in family.values()
    ]
    assert all(one == shared[0] for one in shared)


def test_every_method_has_a_training() -> None:
    configs = [load(TrainConfig, str(file)) for file in TRAIN]
    configs += [run for file in FAMILIES for run in family_of(str(file), TrainConfig).values()]
    assert {config.model.method for config in configs} == set(NETWORKS)


def test_a_retraining_cycle_begins_with_the_champions_own_network() -> None:
    config = load(RetrainConfig, str(CONFIGS / "retrain" / "champion.yaml"))
    assert config.retrain.least_new == 200
    assert config.model == TrainConfig().model


@pytest.mark.parametrize("name", ["default", "family", "product_size"])
def test_evaluate(name: str) -> None:
    loaded = load(EvaluateConfig, str(CONFIGS / "evaluate" / f"{name}.yaml"))
    assert (loaded == EvaluateConfig()) == (name == "default")


def test_the_default_evaluation_spells_out_every_key() -> None:
    written = yaml.safe_load((CONFIGS / "evaluate" / "default.yaml").read_text(encoding="utf-8"))
    assert set(written["evaluate"]) == set(EvaluateConfig().evaluate.model_dump())


def test_prepare_lists_the_defaults() -> None:
    assert load(PrepareConfig, str(CONFIGS / "prepare" / "default.yaml")) == PrepareConfig()


@pytest.mark.slow
@pytest.mark.parametrize("name", shipped_names())
def test_shipped_weights(name: str) -> None:
    """They load by their name, and a model card speaks of these very bytes."""
    loaded = load_colorizer(None, name)
    assert loaded.method in NETWORKS
    assert any(loaded.weights_digest in card.read_text() for card in SHIPPED.glob("*.md"))


def test_shipped_weights_are_small_enough_for_a_repository() -> None:
    assert sum((SHIPPED / f"{name}.safetensors").stat().st_size for name in shipped_names()) <= 50_000_000
