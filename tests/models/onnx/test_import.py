"""Importing a file: the contract pins it, a registry holds both, and a failure leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from jobs.colorize_bucket import main as colorize
from jobs.import_weights import main as import_weights
from pipeline.errors import WeightsError
from pipeline.models.method_list import open_weights, weights_info
from pipeline.models.methods.onnx.weights import read_onnx
from pipeline.models.weights_registry import WeightsRegistry, pin_weights
from tests.models.onnx.test_refusals import constant_ab, saved, tiny
from tests.support.onnx_graphs import PUBLISHED


def test_the_contract_beside_the_file_pins_both(tmp_path: Path, capsys) -> None:
    path = tmp_path / "mine.onnx"
    path.write_bytes(tiny().SerializeToString())
    assert import_weights([str(path), "--contract", "ddcolor_tiny"]) == 0
    assert f"use it   --weights {path}" in capsys.readouterr().out
    onnx = read_onnx(str(path))
    assert onnx.contract.sha256 == (onnx.sha256,)
    assert onnx.contract.probe is not None
    assert onnx.probe().mean_ab == pytest.approx(onnx.contract.probe.mean_ab, abs=0.001)
    wrong = yaml.safe_load((tmp_path / "mine.yaml").read_text())
    wrong["inputs"][0]["range"] = [0, 0.9]
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(wrong))
    with pytest.raises(WeightsError, match="its contract says"):
        read_onnx(str(path)).probe()
    path.write_bytes(PUBLISHED["ddcolor"].make().SerializeToString())
    with pytest.raises(WeightsError, match="is for a file of sha256"):
        read_onnx(str(path))


def test_a_registry_holds_both_and_the_job_takes_its_champion(tmp_path: Path, capsys) -> None:
    path = saved(tmp_path, tiny())
    uri = f"{tmp_path}/registry/archive"
    for number in (1, 2):
        assert import_weights([str(path), "--registry", uri]) == 0
        assert f"entry {number}" in capsys.readouterr().out
    path.unlink()
    entry = WeightsRegistry(uri).champion()
    assert entry is not None
    assert (entry.reason, entry.method, entry.previous) == ("import", "onnx", 1)
    opened = open_weights(None, pin_weights(f"registry:{uri}"))
    assert opened.onnx is not None
    assert opened.onnx.sha256 == entry.sha256
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "scan.jpg").write_bytes(b"is not read by a dry run")
    places = ["--input", str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--dry-run"]
    assert colorize([*places, "--weights", f"registry:{uri}"]) == 0
    assert "licence Apache-2.0" in capsys.readouterr().out
    assert WeightsRegistry(uri).roll_back().restores == 1


def test_another_contract_for_a_file_of_the_registry_is_refused(tmp_path: Path, capsys) -> None:
    uri = f"{tmp_path}/registry/archive"
    assert import_weights([str(saved(tmp_path, tiny())), "--registry", uri]) == 0
    other = saved(tmp_path, tiny(), licence="unknown")
    assert import_weights([str(other), "--registry", uri]) == 2
    assert "is another contract for this file" in capsys.readouterr().err
    assert WeightsRegistry(uri).numbers() == [1]


def test_refusals_leave_nothing(tmp_path: Path, capsys) -> None:
    (tmp_path / "net.pth").write_bytes(b"")
    gray = saved(tmp_path, constant_ab(0.0))
    before = gray.with_suffix(".yaml").read_bytes()
    for source, problem in {
        tmp_path / "net.pth": "is a checkpoint, and reading one can run code",
        tmp_path / "net.zip": "its name must end with .onnx",
        gray: "a mean chroma of 0.00",
        tmp_path / "none.onnx": "cannot read the weights",
    }.items():
        assert import_weights([str(source), "--registry", f"{tmp_path}/registry/archive"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert problem in line
    assert not (tmp_path / "registry").exists()
    assert gray.with_suffix(".yaml").read_bytes() == before


def test_it_cannot_be_trained(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="which colours and cannot be trained"):
        weights_info(None, str(saved(tmp_path, tiny())))
