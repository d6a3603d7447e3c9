"""Our networks as ONNX files: the contract is inside, and the colours are the network's."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from jobs.train import main
from pipeline.errors import ConfigError
from pipeline.models.base import Objective, TrainableColorizer
from pipeline.models.method_list import build_colorizer, load_colorizer, open_weights
from pipeline.models.methods.iizuka import IizukaColorizer
from pipeline.models.methods.onnx import OnnxColorizer
from pipeline.models.methods.patch import PatchColorizer
from pipeline.models.methods.unet import UnetColorizer
from pipeline.models.weights import Weights, WeightsInfo
from pipeline.training.onnx_export import Terms, onnx_file

NETWORKS = {
    "unet": lambda: UnetColorizer(0.125, head="both", blend=0.5, global_branch=True),
    "iizuka, yuv": lambda: IizukaColorizer(0.125, global_side=64, space="yuv"),
}


def weights_of(network: TrainableColorizer) -> Weights:
    """Random ones; the statistics of its normalisations are those of some pictures."""
    network.train()
    for _ in range(2):
        L, ab = torch.rand(2, 1, 64, 64) * 100, torch.zeros(2, 2, 64, 64)
        network(L, ab, torch.tensor([-1, -1]), Objective())
    info = WeightsInfo(
        network.method, network.architecture(), (0.0, 0.0), network.ab_range, network.normalisation
    )
    return Weights({k: v.detach() for k, v in network.state_dict().items()}, info, "0" * 64)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(NETWORKS))
def test_onnxruntime_gives_the_network_s_colours(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    weights = weights_of(NETWORKS[name]())
    file = tmp_path / "mine.onnx"
    file.write_bytes(onnx_file(weights, "mine", Terms("CC0-1.0")))
    opened = open_weights(None, str(file))
    assert opened.onnx is not None
    contract = opened.onnx.contract
    assert (contract.name, contract.licence, contract.non_commercial) == ("mine", "CC0-1.0", False)
    opened.onnx.probe()
    exported = opened.onnx.open()
    assert isinstance(exported, OnnxColorizer)
    own = build_colorizer(weights)
    for shape in ((2, 1, 96, 160), (1, 1, 128, 64)):
        L = torch.rand(shape, generator=torch.Generator().manual_seed(2)) * 100
        _, ab = exported.run(L[:, 0].numpy())
        torch.testing.assert_close(torch.from_numpy(ab), own.predict_ab(L), rtol=0, atol=0.5)


def test_what_is_computed_outside_of_the_network_cannot_go_along() -> None:
    patch = PatchColorizer(0.25)
    info = WeightsInfo("patch", patch.architecture(), (0.0, 0.0), patch.ab_range, patch.normalisation)
    with pytest.raises(ConfigError, match="'patch' cannot be exported to ONNX") as refused:
        onnx_file(Weights(patch.state_dict(), info, "0" * 64), "mine", Terms())
    assert "\n" not in str(refused.value)


def test_the_command(tmp_path: Path, capsys) -> None:
    """`--average` of one is that one: shipped weights need no run to be exported."""
    target = tmp_path / "regression cnn.onnx"
    export = ["--average", "regression_cnn", "--export"]
    assert main([*export, str(target), "--photos", str(tmp_path)]) == 0
    loaded = load_colorizer(None, str(target))
    assert isinstance(loaded.colorizer, OnnxColorizer)
    contract = loaded.colorizer.contract
    assert (contract.name, contract.licence, contract.non_commercial) == (
        "regression-cnn",
        "not stated",
        True,
    )
    capsys.readouterr()
    assert (
        main([*export, str(tmp_path / "a.safetensors"), "--licence", "MIT", "--photos", str(tmp_path)]) == 2
    )
    assert "are for --export NAME.onnx" in capsys.readouterr().err
