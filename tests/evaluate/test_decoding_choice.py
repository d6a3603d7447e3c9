"""Choosing a decoding: the smallest error wins, then the better colour; no training photographs are used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from jobs.choose_decoding import main
from pipeline.errors import ConfigError
from pipeline.evaluate.choice_settings import ChoiceConfig, ChoiceSection
from pipeline.evaluate.decoding_choice import Tried, choose_decoding, chosen_of
from pipeline.models.methods.regression_cnn import RegressionCnn
from pipeline.models.methods.unet import UnetColorizer
from pipeline.models.weights import WeightsInfo, encode_weights
from tests.support.training_data import training_rows, write_parts


def tried(error: float, chroma: float, noise: float = 0.0) -> Tried:
    rng = np.random.default_rng(0)
    errors = np.full((2, 50), error) + noise * rng.normal(size=(2, 50))
    return Tried({"gain": chroma}, errors, np.full((2, 50), chroma * 20), np.ones((2, 50)), np.full(50, 20.0))


def test_the_least_error_is_chosen_and_of_equal_ones_the_colour_nearest_to_the_truth() -> None:
    settings = ChoiceSection(resamples=100)
    clear = [tried(9.0, 0.4), tried(9.5, 1.0)]
    assert chosen_of(clear, settings) is clear[0]
    equal = [tried(9.0, 0.4, noise=1.0), tried(9.0, 0.8), tried(9.0, 1.3)]
    assert chosen_of(sorted(equal, key=lambda one: one.error(0.5).mean()), settings) is equal[1]


def test_a_photograph_without_colours_has_no_share_of_right_ones() -> None:
    right = np.array([[0.5, np.nan, 1.0], [0.25, np.nan, 0.25]])
    one = Tried({}, np.zeros((2, 3)), np.ones((2, 3)), right, np.ones(3))
    assert (one.right(0), one.right(1)) == (0.75, 0.25)


def prepared(folder: Path) -> Path:
    folder.mkdir()
    rows = [training_rows({"large": 4}, val=3, size=64), training_rows({"small": 4}, val=3, size=48)]
    write_parts(folder, pa.concat_tables(rows))
    return folder


def settings_of(photos: Path) -> list[str]:
    small = ["choice.side=64", 'choice.values={"blend":[0,1],"temperature":[0.38,0.6],"gain":[1,2]}']
    return [f"--set={line}" for line in (f"data.photos={photos}", *small)]


def write(path: Path, network: UnetColorizer | RegressionCnn) -> str:
    info = WeightsInfo(
        network.method, network.architecture(), (1, 2), network.ab_range, network.normalisation
    )
    path.write_bytes(encode_weights(network.state_dict(), info))
    return str(path)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    weights = write(tmp_path / "both.safetensors", UnetColorizer(0.125, head="both"))
    assert main(["--weights", weights, *settings_of(prepared(tmp_path / "photos"))]) == 0
    text = capsys.readouterr().out
    assert "; 3 photographs that were set aside, 64 pixels" in text
    # the regression alone has no temperature: 2 gains of it, and of the distribution 2 for each of 2
    assert text.count("| blend=0,") == 2
    assert text.count("| blend=1,") == 4
    chosen = next(line for line in text.splitlines() if "**chosen**" in line)
    assert f"--decoding {chosen.split()[1]}" in text


def test_refusals(tmp_path: Path) -> None:
    photos = prepared(tmp_path / "photos")
    config = ChoiceConfig.model_validate({"data": {"photos": str(photos)}})
    weights = write(tmp_path / "plain.safetensors", RegressionCnn(0.125))
    with pytest.raises(ConfigError, match=r"choice.side is 128, but the short side of no .*, the largest 64"):
        choose_decoding(weights, config, lambda line: None)
    config = ChoiceConfig.model_validate({"data": {"photos": str(photos)}, "choice": {"side": 64}})
    with pytest.raises(ConfigError, match="what decodes the method regression_cnn is nothing, not blend"):
        choose_decoding(weights, config, lambda line: None)
    (tmp_path / "none").mkdir()
    write_parts(tmp_path / "none", training_rows({"one": 4}))
    config = ChoiceConfig.model_validate({"data": {"photos": str(tmp_path / "none")}})
    with pytest.raises(ConfigError, match="no photographs that were set aside"):
        choose_decoding("faithful", config, lambda line: None)
