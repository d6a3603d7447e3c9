"""A method is a folder and a line in the list: jobs, guides, training and evaluation follow from them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pytest
import torch
from pydantic import Field
from torch import Tensor, nn

from jobs.colorize_bucket import main as colorize
from pipeline.config.job import JobConfig
from pipeline.config.loading import parse
from pipeline.config.storage import StorageConfig
from pipeline.errors import ConfigError
from pipeline.evaluate.measure import Measurer, MeasuringTask
from pipeline.evaluate.photograph_list import list_photographs
from pipeline.evaluate.settings import TINT, EvaluateConfig
from pipeline.evaluate.summary import summarise
from pipeline.models import names
from pipeline.models.base import Objective, TrainableColorizer
from pipeline.models.method_list import METHODS, NETWORKS, load_colorizer, weights_info
from pipeline.models.weights import WeightsInfo, encode_weights
from pipeline.shard.open_guides import methods_of
from pipeline.training.settings import TrainConfig
from pipeline.training.weights_export import exported
from tests.support.evaluate_samples import write_photographs

TRAINING_MEAN = (12.0, 18.0)


class ToyColorizer(TrainableColorizer):
    """One colour for every pixel, times `gain`; the guide "style" is accepted and has no effect."""

    method: ClassVar[str] = "toy"
    guides: ClassVar[frozenset[str]] = frozenset({"style"})
    options: ClassVar[tuple[str, ...]] = ("steps",)
    decoding: ClassVar[tuple[str, ...]] = ("gain",)
    normalisation = "none"

    def __init__(self, steps: Annotated[int, Field(ge=1, le=4)] = 1, gain: float = 1.0) -> None:
        super().__init__()
        self._architecture: dict[str, Any] = {"steps": steps, "gain": gain}
        self.gain = gain
        self.ab = nn.Parameter(torch.zeros(2))

    def architecture(self) -> dict[str, Any]:
        return dict(self._architecture)

    @torch.inference_mode()
    def predict_ab(self, L_B1HW: Tensor, guides: Mapping[str, Tensor] | None = None) -> Tensor:
        self.check_input(L_B1HW, guides)
        height, width = L_B1HW.shape[-2:]
        return (self.ab * self.gain).reshape(1, 2, 1, 1).repeat(len(L_B1HW), 1, height // 2, width // 2)

    def forward(
        self, L_B1HW: Tensor, ab_B2HW: Tensor, label_B: Tensor, objective: Objective
    ) -> dict[str, Tensor]:
        return {"loss": (ab_B2HW - self.ab.reshape(1, 2, 1, 1)).square().mean()}


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the lines in `pipeline/models/method_list.py` and `pipeline/models/names.py` do it."""
    monkeypatch.setattr(names, "METHOD_NAMES", (*names.METHOD_NAMES, ToyColorizer.method))
    monkeypatch.setitem(NETWORKS, ToyColorizer.method, ToyColorizer)
    monkeypatch.setitem(METHODS, ToyColorizer.method, ToyColorizer)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    network = ToyColorizer(steps=2)
    with torch.no_grad():
        network.ab.copy_(torch.tensor(TRAINING_MEAN))
    info = WeightsInfo("toy", network.architecture(), TRAINING_MEAN, network.ab_range, network.normalisation)
    path = tmp_path / "toy.safetensors"
    path.write_bytes(encode_weights(network.state_dict(), info))
    return path


def test_its_weights_load_and_colour(weights: Path) -> None:
    assert weights_info(None, str(weights)).method == "toy"
    loaded = load_colorizer("toy", str(weights), precision="fp32")
    ab = loaded.colorizer.predict_ab(torch.full((1, 1, 16, 24), 50.0))
    assert ab.shape == (1, 2, 8, 12)
    assert ab[0, :, 0, 0].tolist() == pytest.approx(TRAINING_MEAN)


def test_a_job_takes_it_and_so_do_guides(weights: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "in").mkdir()
    places = [
        "--input",
        str(tmp_path / "in"),
        "--output",
        str(tmp_path / "out"),
        "--dry-run",
        "--show-config",
    ]
    assert colorize([*places, "--method", "toy", "--weights", str(weights)]) == 0
    assert "method: toy" in capsys.readouterr().out
    assert colorize([*places, "--method", "toys"]) == 2
    assert "toy\n" in capsys.readouterr().err
    methods = methods_of(parse(JobConfig, {"model": {"method": "toy"}}))
    assert methods.choose(None, frozenset({"style"})) == "toy"
    with pytest.raises(ValueError, match="takes no reference"):
        methods.choose("toy", frozenset({"reference"}))


def test_a_training_takes_its_options_and_no_others() -> None:
    config = parse(TrainConfig, {"model": {"method": "toy"}}, ["model.steps=3"])
    assert config.model.options() == {"steps": 3}
    assert NETWORKS["toy"].start(config.model.options(), 0).architecture() == {"steps": 3, "gain": 1.0}
    assert TrainConfig.model_validate(config.model_dump(mode="json")) == config
    for setting, problem in {
        "model.steps=9": "steps has the value 9: input should be less than or equal to 4",
        "model.width=1": "width is not an option of the method toy; allowed: steps",
        "loss.perceptual=1": "have no effect on model.method=toy",
        "model.method=toys": "the method 'toys' cannot be trained; allowed: .*toy",
    }.items():
        with pytest.raises(ConfigError, match=problem):
            parse(TrainConfig, {"model": {"method": "toy"}}, [setting])


def test_its_export_takes_its_decoding(weights: Path, tmp_path: Path) -> None:
    louder = tmp_path / "louder.safetensors"
    louder.write_bytes(exported(weights.read_bytes(), decoding={"gain": 2.0}))
    ab = load_colorizer("toy", str(louder)).colorizer.predict_ab(torch.full((1, 1, 16, 16), 50.0))
    assert ab[0, :, 0, 0].tolist() == pytest.approx([2 * value for value in TRAINING_MEAN])


@pytest.mark.slow
def test_an_evaluation_measures_it(weights: Path, tmp_path: Path) -> None:
    entries = [{"name": "toy", "method": "toy", "weights": str(weights)}]
    settings = {"entries": entries, "side": 64, "precision": "fp32", "resamples": 100}
    config = EvaluateConfig.model_validate({"evaluate": settings})
    task = MeasuringTask(str(write_photographs(tmp_path / "photos")), config, TRAINING_MEAN)
    photos = list_photographs(task.input, config.evaluate, StorageConfig())
    rows = {row.colored_by: row for row in summarise(Measurer(task).run(photos).rows, config.evaluate)[:4]}
    error, tint = (rows[name].metrics["ab_rmse"].value for name in ("toy", TINT))
    assert error is not None
    assert error == pytest.approx(tint, rel=1e-4)  # the constant tint is what the toy has learned
