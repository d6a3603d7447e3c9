"""`--weights registry:REGISTRY/NAME`: a job takes today's champion, and names it by its digest."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pipeline.models.base import TrainableColorizer
from pipeline.models.methods.iizuka import IizukaColorizer
from pipeline.models.methods.regression_cnn import RegressionCnn
from pipeline.models.weights import WeightsInfo, encode_weights
from pipeline.models.weights_registry import WeightsRegistry
from tests.support.job_runner import encoded, fill, image_digests, ledger, photograph


def weights(path: Path, colorizer: TrainableColorizer) -> str:
    units = (colorizer.ab_range, colorizer.normalisation)
    info = WeightsInfo(colorizer.method, colorizer.architecture(), (1.0, 2.0), *units)
    path.write_bytes(encode_weights(colorizer.state_dict(), info))
    return str(path)


@pytest.mark.job
def test_new_champions_make_work_when_asked_and_a_rollback_finds_the_old_work_done(
    tmp_path: Path, colorize
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    fill(str(source), {f"{n}.jpg": encoded(photograph(n)) for n in range(2)})
    catalog = WeightsRegistry(f"{tmp_path}/models/faces")
    first = catalog.promote(weights(tmp_path / "a.safetensors", IizukaColorizer(0.05)), previous=None)
    args = ("--input", source, "--output", out, "--weights", f"registry:{tmp_path}/models/faces")

    done = colorize(*args)
    assert done.returncode == 0, done.stderr
    (folder,) = (out / "runs").iterdir()
    kept = yaml.safe_load((folder / "config.yaml").read_text())
    assert kept["model"]["weights"] == catalog.locate(first)
    assert f"weights  {catalog.locate(first).partition('#')[0]} (iizuka)" in done.stdout
    assert {row["weights_digest"] for row in ledger(str(out))} == {first.sha256}
    assert len(image_digests(str(out))) == 2

    # a champion of another method needs no other command, but one that was asked for must fit
    second = catalog.promote(weights(tmp_path / "b.safetensors", RegressionCnn(0.125)), previous=1)
    calm = colorize(*args)  # who promotes does not ask for the archive to be coloured again
    assert calm.returncode == 0, calm.stderr
    assert "2 files in the ledger, 2 by another model (--recolor changed-model" in calm.stdout
    assert "Nothing to do: all 2 files" in calm.stdout
    dry = colorize(*args, "--recolor", "changed-model", "--dry-run", "--show-config")
    assert dry.returncode == 0, dry.stderr
    assert catalog.locate(second) in dry.stdout
    assert "to do    2 files" in dry.stdout
    assert "2 coloured before by another model" in dry.stdout
    assert "method: regression_cnn" in dry.stdout
    refused = colorize(*args, "--method", "iizuka")
    assert refused.returncode == 2
    assert len(list((out / "runs").iterdir())) == 1  # before anything was started
    assert "are for the method 'regression_cnn', not 'iizuka'" in refused.stderr

    catalog.roll_back()
    back = colorize(*args)
    assert back.returncode == 0, back.stderr
    assert "Nothing to do: all 2 files" in back.stdout


def test_a_name_without_a_champion_is_one_line(tmp_path: Path, in_process) -> None:
    fill(str(tmp_path / "in"), {"a.jpg": encoded(photograph(0))})
    places = ("--input", tmp_path / "in", "--output", tmp_path / "out")
    refused = in_process("colorize_bucket", *places, "--weights", "registry:none/here")
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert line.startswith("error: the weights registry:")
    assert "none/here have no champion" in line
    assert not (tmp_path / "out").exists()
