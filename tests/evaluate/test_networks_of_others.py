"""The table with other people's networks in it, FID where its features are given, and what an image costs."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper
from scipy.linalg import sqrtm
from torch import nn

from jobs.evaluate import main
from pipeline.color.luminance import luminance_u16_from_srgb8
from pipeline.config.storage import StorageConfig
from pipeline.errors import ConfigError, WeightsError
from pipeline.evaluate.cost import Cost, Order, measure, measure_costs
from pipeline.evaluate.evaluation import pinned
from pipeline.evaluate.inception import FEATURES, Inception
from pipeline.evaluate.measure import Measurer, MeasuringTask
from pipeline.evaluate.photograph_list import list_photographs
from pipeline.evaluate.settings import EvaluateConfig, entries_of
from pipeline.evaluate.summary import CPU_SECONDS, DELTA, FID, PEAK_BYTES, summarise, with_costs
from pipeline.evaluate.tables import markdown
from tests.models.onnx.test_refusals import constant_ab, saved
from tests.support.evaluate_samples import TINT, photograph, write_photographs, write_weights
from tests.support.onnx_graphs import PUBLISHED, build

WEIGHT = np.random.default_rng(1).normal(size=(FEATURES, 3)).astype(np.float32)


def features_graph(count: int = FEATURES) -> onnx.ModelProto:
    """The mean colour of the picture, times a matrix."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["mean"]),
        helper.make_node("Conv", ["mean", "weight"], ["features"]),
    ]
    constants = {"weight": WEIGHT[:count, :, None, None]}
    return build(nodes, {"x": ("n", 3, 299, 299)}, ("features", ("n", count, 1, 1)), constants)


class Scripted(nn.Module):
    """The same for TorchScript."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.from_numpy(WEIGHT))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3)) @ self.weight.T


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photographs(tmp_path / "photos")


@pytest.mark.slow
def test_an_onnx_file_stands_in_the_table_with_fid(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "ddcolor.onnx").write_bytes(PUBLISHED["ddcolor"].make().SerializeToString())
    (tmp_path / "inception.onnx").write_bytes(features_graph().SerializeToString())
    entries = entries_of(f"ddcolor={tmp_path / 'ddcolor.onnx'}")
    settings = {
        "entries": entries, "side": 64, "resamples": 100, "frechet_resamples": 0,
        "inception": str(tmp_path / "inception.onnx"),
    }  # fmt: skip
    config = pinned(EvaluateConfig.model_validate({"evaluate": settings}))
    (entry,) = config.evaluate.entries
    assert "#sha256=" in (entry.weights or "")
    assert isinstance(entry.contract, dict)
    task = MeasuringTask(str(photos), config, TINT)
    measured = Measurer(task).run(list_photographs(task.input, config.evaluate, StorageConfig()))
    rows = {row.colored_by: row for row in summarise(measured.rows, config.evaluate)[:4]}
    table = measured.rows.to_pylist()
    names = ("ddcolor", "ground truth")
    colorfulness = [
        np.mean([row["colorfulness_absolute"] for row in table if row["colored_by"] == name])
        for name in names
    ]
    assert rows["ddcolor"].metrics[DELTA].value == pytest.approx(abs(colorfulness[0] - colorfulness[1]))
    x, y = (
        np.array([row["inception_features"] for row in table if row["colored_by"] == name], np.float64)
        for name in names
    )
    # on 30 of the features, for the root of a matrix of 2048 takes seconds; the others are multiples of these
    assert rows["ddcolor"].metrics[FID].value == pytest.approx(fid(x @ BASIS, y @ BASIS), rel=1e-3)
    assert rows["ground truth"].metrics[FID].value is None


BASIS = np.linalg.svd(WEIGHT.astype(np.float64), full_matrices=False)[0]
"""The three directions in which the features lie."""


def fid(x: np.ndarray, y: np.ndarray) -> float:
    """By the formula."""
    apart = x.mean(0) - y.mean(0)
    cx, cy = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    return float(apart @ apart + np.trace(cx + cy - 2 * sqrtm(cx @ cy).real))


def test_features_are_the_file_s_of_the_picture_at_299(tmp_path: Path) -> None:
    (tmp_path / "inception.onnx").write_bytes(features_graph().SerializeToString())
    torch.jit.script(Scripted()).save(str(tmp_path / "inception.pt"))
    rgb8 = np.asarray(photograph(3))
    flat = np.full((20, 30, 3), (255, 0, 51), np.uint8)
    results = [Inception(str(tmp_path / name))([rgb8, flat]) for name in ("inception.onnx", "inception.pt")]
    np.testing.assert_allclose(results[0], results[1], rtol=0, atol=2e-3)
    np.testing.assert_allclose(results[0][1], WEIGHT @ np.array([1, -1, -0.6], np.float32), rtol=0, atol=2e-3)


def test_other_features_are_no_fid(photos: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "few.onnx").write_bytes(features_graph(1280).SerializeToString())
    (tmp_path / "none.pt").write_bytes(b"nothing")
    for name, problem in {
        "few.onnx": "gives 1280 features for a picture; FID is of Inception's 2048",
        "none.pt": "is neither ONNX (NAME.onnx) nor TorchScript",
        "missing.onnx": "cannot read the weights",
    }.items():
        with pytest.raises(ConfigError) as refused:
            Inception(str(tmp_path / name))
        assert problem in str(refused.value)
    places = ["--photos", str(photos), "--output", str(tmp_path / "out")]
    assert main([*places, "--set", f"evaluate.inception={tmp_path / 'few.onnx'}"]) == 2
    assert "gives 1280 features" in capsys.readouterr().err


def test_a_wrong_file_ends_the_evaluation_before_it_begins(photos: Path, tmp_path: Path, capsys) -> None:
    gray = saved(tmp_path, constant_ab(0.0))
    places = ["--photos", str(photos), "--output", str(tmp_path / "out")]
    assert main([*places, "--methods", f"gray-net={gray}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "a mean chroma of 0.00" in line
    entries = [{"name": "n", "method": "unet", "weights": str(gray)}]
    config = EvaluateConfig.model_validate({"evaluate": {"entries": entries}})
    with pytest.raises(WeightsError, match="are for the method 'onnx'"):
        pinned(config)


def test_what_an_image_costs(tmp_path: Path) -> None:
    """Measured in this process; a test with Ray does it as the evaluation does, in one of its own."""
    weights = str(write_weights(tmp_path / "tinted.safetensors"))
    picture = luminance_u16_from_srgb8(np.asarray(photograph(1)))
    np.savez(tmp_path / "pictures.npz", picture, picture)
    order = Order({"name": "tinted", "weights": weights}, "fp32", {}, str(tmp_path / "pictures.npz"))
    began = time.process_time()
    cost = measure(order)
    assert 0 < 2 * cost.cpu_seconds <= time.process_time() - began
    assert 100e6 < cost.peak_bytes < 20e9
    entries = [{"name": "tinted", "weights": weights}]
    assert measure_costs(EvaluateConfig.model_validate({"evaluate": {"entries": entries}}), []) == {}


@pytest.mark.slow
def test_the_columns_of_cost(photos: Path, tmp_path: Path) -> None:
    entries = [{"name": "tinted", "weights": str(write_weights(tmp_path / "tinted.safetensors"))}]
    given = {"entries": entries, "side": 64, "resamples": 100, "frechet_resamples": 0, "precision": "fp32"}
    config = EvaluateConfig.model_validate({"evaluate": given})
    task = MeasuringTask(str(photos), config, TINT)
    rows = summarise(Measurer(task).run(list_photographs(task.input, config.evaluate, StorageConfig())).rows,
                     config.evaluate)  # fmt: skip
    about = {
        "input": "p", "photographs": 5, "short_side": 64, "unreadable": [], "tint_ab": list(TINT),
        "groups": [], "plates": ["own"], "against": "gray", "entries": [], "resamples": 100,
        "frechet_resamples": 0, "seed": 0, "inception": None, "cost_photographs": 4,
    }  # fmt: skip
    assert "peak memory" not in markdown(about, rows)
    costed = with_costs(rows, {"tinted": Cost(0.25, 734_000_000)})
    text = markdown(about, costed)
    (line,) = [line for line in text.splitlines() if line.startswith("| tinted |")][:1]
    assert line.endswith("| 0.250 | 734 |")
    assert "| CPU, s an image ↓ | peak memory, MB ↓ |" in text
    assert "from 4 photographs at the size measured" in text
    assert CPU_SECONDS not in costed[0].metrics  # the gray image is no network
    assert PEAK_BYTES not in json.dumps([row.colored_by for row in costed])
