"""Exports: the whole network, one of its heads, or more gain; and nothing that a network does not have."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipeline.config.storage import StorageConfig
from pipeline.errors import ConfigError
from pipeline.models.base import TrainableColorizer
from pipeline.models.method_list import load_colorizer, weights_info
from pipeline.models.methods.regression_cnn import RegressionCnn
from pipeline.models.methods.unet import UnetColorizer
from pipeline.models.weights import Weights, WeightsInfo, decode_weights, encode_weights
from pipeline.training.places import parse_decoding
from pipeline.training.settings import TrainConfig
from pipeline.training.trainer import average
from pipeline.training.weights_export import exported, mean_of, write_weights


def weights_of(colorizer: TrainableColorizer) -> bytes:
    info = WeightsInfo(
        colorizer.method, colorizer.architecture(), (1.0, 2.0), colorizer.ab_range, colorizer.normalisation,
        provenance={"steps": 7},
    )  # fmt: skip
    return encode_weights(colorizer.state_dict(), info, half=False)


@pytest.fixture
def both() -> UnetColorizer:
    torch.manual_seed(0)
    colorizer = UnetColorizer(0.125, head="both")
    colorizer.eval()
    return colorizer


def test_as_it_is(both: UnetColorizer) -> None:
    assert exported(weights_of(both)) == weights_of(both)


def test_one_head_louder(both: UnetColorizer, tmp_path: Path) -> None:
    data = exported(weights_of(both), "regression", {"gain": 1.25})
    target = tmp_path / "new" / "louder.safetensors"
    write_weights(data, str(target), StorageConfig())
    L_B1HW = torch.rand(1, 1, 64, 64) * 100
    loaded = load_colorizer(None, str(target), precision="fp32").colorizer
    torch.testing.assert_close(
        loaded.predict_ab(L_B1HW), 1.25 * both.predict_ab(L_B1HW), rtol=1e-2, atol=2e-2
    )
    info = weights_info(None, str(target))
    assert info.architecture["head"] == "regression"
    assert info.provenance == {"steps": 7, "variant": "regression"}
    assert len(data) < len(weights_of(both))


def test_what_is_not_there(both: UnetColorizer) -> None:
    with pytest.raises(ConfigError, match=r"--variant vivid: .*no variant 'vivid'"):
        exported(weights_of(both), "vivid")
    with pytest.raises(ConfigError, match=r"--decoding gain=1.2: the method regression_cnn takes: none"):
        exported(weights_of(RegressionCnn(0.125)), decoding={"gain": 1.2})
    with pytest.raises(ConfigError, match=r"--decoding: .*blend 1.5 in \[0, 1\]"):
        exported(weights_of(both), decoding={"blend": 1.5})
    with pytest.raises(ConfigError, match="give name=number"):
        parse_decoding("gain")
    assert parse_decoding("gain=1.5, temperature=0.6") == {"gain": 1.5, "temperature": 0.6}
    with pytest.raises(ConfigError, match="give a file"):
        write_weights(b"", "folder/", StorageConfig())


def read(data: bytes, digest: str) -> Weights:
    return Weights(*decode_weights(data, "test"), digest)


def test_the_mean_of_two_trainings(both: UnetColorizer, tmp_path: Path) -> None:
    other = UnetColorizer(0.125, head="both", gain=1.5)
    parts = [read(weights_of(both), "a"), read(weights_of(other), "b")]
    for name, part in zip("ab", parts, strict=True):
        (tmp_path / name).write_bytes(encode_weights(part.tensors, part.info, half=False))
    average(TrainConfig(), [str(tmp_path / "a"), str(tmp_path / "b")], str(tmp_path / "mean"), {"gain": 1.1})
    tensors, info = decode_weights((tmp_path / "mean").read_bytes(), "mean")
    for name, tensor in tensors.items():
        expected = (parts[0].tensors[name] + parts[1].tensors[name]) / 2
        torch.testing.assert_close(tensor, expected, rtol=1e-3, atol=1e-4)
    assert info.architecture == both.architecture() | {"gain": 1.1}
    assert [output["steps"] for output in info.provenance["mean_of"]] == [7, 7]


def test_the_mean_with_the_weights_before_the_encoder_learned(tmp_path: Path) -> None:
    """Between a network whose encoder is the package's and one of which it has learned, counted twice."""
    options = {"width": 0.25, "encoder": "efficientnet_lite0", "global_branch": True}
    before = UnetColorizer(**options, frozen=16, gain=1.5)
    after = UnetColorizer(**options, frozen=5)
    parts = [read(weights_of(one), name) for one, name in ((before, "a"), (after, "b"), (after, "b"))]
    tensors, info = decode_weights(mean_of(parts), "mean")
    stem, step = "encoder.lite.stem.0.weight", "decoder.steps.0.0.weight"
    assert set(tensors) == set(parts[1].tensors)
    for name in (stem, step):
        one, other = before.get_parameter(name), after.get_parameter(name)
        torch.testing.assert_close(tensors[name], (one + 2 * other) / 3, rtol=1e-3, atol=1e-4)
    assert not torch.equal(before.get_parameter(stem), after.get_parameter(stem))
    assert info.architecture == after.architecture() | {"gain": 1.5}
    assert [part["sha256"] for part in info.provenance["mean_of"]] == ["a", "b", "b"]
    average_first = mean_of([parts[1], parts[0]])
    assert decode_weights(average_first, "mean")[1].architecture == after.architecture()


def test_other_networks_have_no_mean(both: UnetColorizer) -> None:
    for other in (UnetColorizer(0.25, head="both"), RegressionCnn(0.125)):
        with pytest.raises(ConfigError, match="--average: these weights are not of one network"):
            mean_of([read(weights_of(both), "a"), read(weights_of(other), "b")])
