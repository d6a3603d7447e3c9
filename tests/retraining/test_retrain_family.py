"""The family: its file, and the single command from photographs to a table of our own weights."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.errors import ConfigError
from pipeline.models.method_list import weights_info
from pipeline.retraining.family import family_of, run_of
from pipeline.training.settings import TrainConfig
from tests.support.evaluate_samples import photograph
from tests.support.job_runner import run_job

FAMILY = """\
common:
  data: {crop: 64, label_images: 1}
  train: {steps: 2, batch: 2, threads: 1, precision: fp32}
runs:
  cnn:
    model: {method: classification_cnn, width: 0.05}
    loss: {rebalance: 0.5}
  net:
    model: {method: unet, width: 0.05}
    train: {steps: 3}
"""
EVALUATION = """\
evaluate:
  entries: [{name: our CNN, weights: cnn}, {name: shipped, weights: iizuka}]
  side: 64
  frechet_resamples: 0
"""


@pytest.fixture
def family(tmp_path: Path) -> Path:
    path = tmp_path / "family.yaml"
    path.write_text(FAMILY)
    return path


def test_what_is_common_and_what_is_not(family: Path) -> None:
    runs = family_of(str(family), TrainConfig, ["train.keep=2"])
    assert list(runs) == ["cnn", "net"]
    assert [run.train.name for run in runs.values()] == ["cnn", "net"]
    assert [run.train.steps for run in runs.values()] == [2, 3]
    assert [run.loss.rebalance for run in runs.values()] == [0.5, None]
    assert all(run.data.crop == 64 and run.train.keep == 2 for run in runs.values())
    assert run_of(runs, "net", "family.yaml") == runs["net"]


def test_mistakes(family: Path) -> None:
    with pytest.raises(ConfigError, match="no run 'unet'; there are: cnn, net"):
        run_of(family_of(str(family), TrainConfig), "unet", str(family))
    family.write_text("common: {}\n")
    with pytest.raises(ConfigError, match="'common' and 'runs'"):
        family_of(str(family), TrainConfig)
    family.write_text("common: {}\nruns: {a: {model: {method: regression_cnn, head: both}}}\n")
    with pytest.raises(
        ConfigError, match="head is not an option of the method regression_cnn; allowed: width"
    ):
        family_of(str(family), TrainConfig)


@pytest.mark.first
@pytest.mark.ray
def test_one_command_from_photographs_to_a_table(family: Path, tmp_path: Path) -> None:
    """Prepared, trained, exported and evaluated for real; a second call trains nothing again."""
    evaluation = tmp_path / "evaluation.yaml"
    evaluation.write_text(EVALUATION)
    for name, seeds in {"photos": range(6), "held-out": range(10, 12)}.items():
        (tmp_path / name).mkdir()
        for seed in seeds:
            photograph(seed).save(tmp_path / name / f"{seed}.png")
    words = (
        "--photos", tmp_path / "photos", "--held-out", tmp_path / "held-out", "--output", tmp_path / "out",
        "--family", family, "--evaluation", evaluation, "--only", "cnn",
    )  # fmt: skip
    first = run_job("retrain_family", *words, timeout=280)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "our CNN" in first.stdout
    output = tmp_path / "out" / "weights" / "cnn.safetensors"
    assert weights_info("classification_cnn", str(output)).provenance["steps"] == 2
    table = pq.read_table(tmp_path / "out" / "evaluation" / "1-held-out" / "evaluation.parquet")
    assert set(table["colored_by"].to_pylist()) == {
        "gray",
        "constant tint",
        "ground truth",
        "our CNN",
        "shipped",
    }
    about = json.loads((tmp_path / "out" / "evaluation" / "1-held-out" / "evaluation.json").read_text())
    assert about["photographs"] == 2
    changed = output.stat().st_mtime_ns
    refused = run_job("retrain_family", *words, "--exclude", "*.txt", timeout=100)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "give another --output" in refused.stderr
    assert output.stat().st_mtime_ns == changed
