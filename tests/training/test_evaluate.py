"""The evaluation: known colourings get the errors they must get, and the command reports them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from pipeline import metrics
from pipeline.models.iizuka import AB_RANGE, NORMALISATION, IizukaColorizer
from pipeline.models.weights import WeightsInfo, encode_weights
from pipeline.training.config import EvaluateConfig
from pipeline.training.evaluate import evaluate

REPO = Path(__file__).resolve().parents[2]
TINT = (6.0, 9.0)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three photographs in two sources, one of them really of the tint's colour."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        pixels = rng.integers(60, 190, (5, 6, 3)).astype(np.uint8)
        Image.fromarray(pixels).resize((150, 130), Image.Resampling.BICUBIC).save(folder / f"{name}.png")
    (folder / "manifest.csv").write_text("file,source\na.png,one\nb.png,one\nc.png,two\n")
    return folder


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A network that says TINT whatever it sees."""
    colorizer = IizukaColorizer(0.05)
    output = colorizer.network.colorization.output
    assert output.bias is not None
    nn.init.zeros_(output.weight)
    unit = (torch.tensor(TINT) - AB_RANGE[0]) / (AB_RANGE[1] - AB_RANGE[0])
    with torch.no_grad():
        output.bias.copy_(torch.logit(unit))
    info = WeightsInfo("iizuka", colorizer.architecture(), TINT, AB_RANGE, NORMALISATION)
    path = tmp_path / "tint.safetensors"
    path.write_bytes(encode_weights(colorizer.state_dict(), info))
    return path


def test_rows(photos: Path, weights: Path) -> None:
    config = EvaluateConfig.model_validate({"evaluate": {"side": 64, "precision": "fp32"}})
    rows = {(r["group"], r["colored_by"]): r for r in evaluate(str(photos), str(weights), config)["rows"]}
    assert {group for group, _ in rows} == {"one", "two", "all"}
    assert [rows[group, "gray"]["photographs"] for group in ("one", "two", "all")] == [2, 1, 3]
    model, tint = rows["all", "model"], rows["all", "constant tint"]
    for name in ("psnr_db", "ab_rmse", "ciede2000"):
        assert model[name] == pytest.approx(tint[name], rel=1e-3)
    assert rows["all", "gray"]["colorfulness"] == 0
    assert rows["all", "truth"]["psnr_db"] is None
    assert rows["all", "truth"]["colorfulness"] > model["colorfulness"] > 5


def test_gray_is_as_wrong_as_the_photograph_is_colourful(photos: Path, weights: Path) -> None:
    config = EvaluateConfig.model_validate({"evaluate": {"side": 130}})
    gray = next(
        r
        for r in evaluate(str(photos), str(weights), config)["rows"]
        if (r["group"], r["colored_by"]) == ("two", "gray")
    )
    truth = np.asarray(Image.open(photos / "c.png"))
    no_color = np.full_like(truth, 128)  # its ab are 0, which is all that ab-RMSE looks at
    assert gray["ab_rmse"] == pytest.approx(metrics.ab_rmse(truth, no_color), abs=0.05)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(REPO / "jobs" / "evaluate.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_the_command(photos: Path, weights: Path, tmp_path: Path) -> None:
    arguments = ["--photos", str(photos), "--weights", str(weights), "--output", str(tmp_path / "out")]
    done = run(*arguments, "--config", str(REPO / "configs" / "evaluate" / "default.yaml"))
    assert done.returncode == 0, done.stderr
    assert "| all (3) | constant tint |" in done.stdout
    assert (tmp_path / "out" / "evaluation.md").read_text() == done.stdout
    report = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert (report["short_side"], len(report["rows"])) == (128, 12)


def test_user_mistakes(photos: Path, weights: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for arguments, message in [
        (["--photos", str(tmp_path / "empty"), "--weights", str(weights)], "no photographs"),
        (["--photos", str(tmp_path / "none"), "--weights", str(weights)], "none"),
        (["--photos", str(photos), "--weights", str(photos / "a.png")], "no weights file"),
        (["--photos", str(photos), "--set", "evaluate.sides=3"], "evaluate.sides"),
        (["--photos", str(photos), "--set", "evaluate.method=magic"], "magic"),
    ]:
        failed = run(*arguments)
        assert failed.returncode == 2, failed.stderr
        assert failed.stderr.startswith("error: ")
        assert failed.stderr.count("\n") == 1
        assert message in failed.stderr
