"""Doubt in the ledger: columns only, never a pixel."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.config.job import JobConfig, job_digest
from pipeline.config.loading import load
from pipeline.evaluate.doubt_fit import Observed, calibrate
from pipeline.models.doubt import (
    LOOK,
    PICTURE,
    UNLIKE,
    Calibration,
    DoubtInfo,
    Judgement,
    encode_calibration,
)
from pipeline.models.method_list import load_colorizer
from pipeline.models.methods.unet import UnetColorizer
from pipeline.models.signals import HEADS, SPREAD
from pipeline.models.weights import WeightsInfo, encode_weights
from pipeline.records import DoubtReason
from pipeline.run.attempts import AttemptRegistry
from pipeline.shard.doubt import NEARLY_GRAY, Doubt, joined_doubt
from pipeline.shard.fused import FusedWorker
from pipeline.shard.job import Job
from pipeline.shard.predict import Predictor
from tests.shard.test_fused import only_shard
from tests.support.job_runner import encoded, fill, ledger, photograph


def calibration_for(digest: str, names: tuple[str, ...], features: int) -> Calibration:
    """Fitted on numbers without a meaning: its maps are whole and its answers differ from picture to
    picture."""
    rng = np.random.default_rng(0)
    numbers, some = rng.normal(10, 20, (300, len(names))), rng.normal(0.5, 1, (300, features))
    seen = Observed(names, numbers, some, 5 + np.abs(numbers[:, 0]))
    return calibrate(seen, DoubtInfo(digest, (), 0, 0))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network with both heads and a global branch, and its calibration beside it."""
    torch.manual_seed(0)
    network = UnetColorizer(width=0.125, head="both", global_branch=True, blend=0.5)
    info = WeightsInfo("unet", network.architecture(), (0.0, 0.0), (-110.0, 110.0), network.normalisation)
    file = tmp_path_factory.mktemp("weights") / "own.safetensors"
    file.write_bytes(encode_weights(network.state_dict(), info))
    loaded = load_colorizer(None, str(file))
    names = (*SPREAD, HEADS, *PICTURE)
    data = encode_calibration(calibration_for(loaded.weights_digest, names, network.encoder.feature_channels))
    file.with_suffix(".doubt").write_bytes(data)
    return file


def rows_of(source: Path, out: Path, weights: Path | str, *settings: str) -> dict[str, dict[str, Any]]:
    """The ledger of a worker that colours everything, by key."""
    config = load(JobConfig, None, ["model.side=64", f"model.weights={weights}", *settings])
    worker = FusedWorker(Job(config, str(source), str(out), "run", "d", "w"), AttemptRegistry())
    worker.run(*only_shard(worker))
    worker.shard_worker.close()
    return {row["key"]: row for row in ledger(str(out))}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    pages = io.BytesIO()
    photograph(5).save(pages, "TIFF", save_all=True, append_images=[photograph(6)])
    sources = {f"{i}.jpg": encoded(photograph(i)) for i in range(3)}
    fill(str(tmp_path / "in"), sources | {"pages.tif": pages.getvalue()})
    return tmp_path / "in"


def test_doubt_changes_columns_and_no_byte(source: Path, tmp_path: Path, weights: Path) -> None:
    told = rows_of(source, tmp_path / "told", weights)
    silent = rows_of(source, tmp_path / "silent", weights, "report.doubt=false")
    for key, row in told.items():
        assert row["status"] == "colorized"
        for column in ("output_sha256", "further_sha256", "max_delta_l", "mean_chroma"):
            assert row[column] == silent[key][column], column
        assert 0 <= row["doubt"] <= 1
        assert 0 <= row["novelty"] < 1
        assert {silent[key][name] for name in ("doubt", "doubt_reasons", "novelty")} == {None}
    assert len({row["doubt"] for row in told.values()}) > 1


def test_doubt_is_no_part_of_the_job_digest() -> None:
    configs = [load(JobConfig, None, [f"report.doubt={value}"]) for value in ("true", "false")]
    assert len({job_digest(config, "w") for config in configs}) == 1


def test_weights_without_a_calibration_give_reasons_alone(
    source: Path, tmp_path: Path, weights: Path
) -> None:
    bare = tmp_path / "bare.safetensors"
    bare.write_bytes(weights.read_bytes())
    for row in rows_of(source, tmp_path / "out", bare, "model.chroma=0").values():
        assert (row["doubt"], row["novelty"], row["doubt_reasons"]) == (None, None, "nearly_gray")


def test_batches_judge_as_single_images_do(weights: Path) -> None:
    loaded = load_colorizer(None, str(weights))
    calibration = calibration_for("x", (*SPREAD, HEADS, *PICTURE, LOOK), 128)
    rng = np.random.default_rng(0)
    inputs = [rng.uniform(0, 100, (64, 96)).astype(np.float32) for _ in range(3)]
    judged = []
    for batch in (1, 3):
        predictor = Predictor(loaded.colorizer, device="cpu", batch=batch, calibration=calibration)
        judged.append([guess.judgement for guess in predictor.guesses(inputs)])
    for one, other in zip(*judged, strict=True):
        assert one is not None
        assert other is not None
        assert one.doubt == pytest.approx(other.doubt, abs=0.02)
        assert one.novelty == pytest.approx(other.novelty, abs=0.02)


def test_judging_leaves_the_chroma_as_it_is(weights: Path) -> None:
    loaded = load_colorizer(None, str(weights))
    inputs = [photograph_lightness(seed) for seed in range(2)]
    plain = Predictor(loaded.colorizer, device="cpu", batch=1)(inputs)
    calibration = calibration_for("x", (*SPREAD, HEADS, *PICTURE, LOOK), 128)
    judging = Predictor(loaded.colorizer, device="cpu", batch=1, calibration=calibration)
    for ab, guess, again in zip(plain, judging.guesses(inputs), judging(inputs), strict=True):
        assert np.array_equal(ab, guess.ab_2hw)
        assert np.array_equal(ab, again)
        assert guess.judgement is not None


def photograph_lightness(seed: int) -> Any:
    picture = Image.fromarray(np.asarray(photograph(seed))).convert("L").resize((96, 64))
    return np.asarray(picture, np.float32) / 2.55


@pytest.mark.slow
def test_onnx_weights_are_judged_by_a_second_look(source: Path, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    from tests.support import onnx_graphs

    file = tmp_path / "net.onnx"
    onnx.save(onnx_graphs.deoldify(), file)
    told = ("model.method=onnx", "model.contract=configs/models/deoldify.yaml")
    digest = load_colorizer(None, str(file), contract="configs/models/deoldify.yaml").weights_digest
    calibration = calibration_for(digest, (*PICTURE, LOOK), 0)
    file.with_suffix(".doubt").write_bytes(encode_calibration(calibration))
    for row in rows_of(source, tmp_path / "out", file, *told).values():
        assert 0 <= row["doubt"] <= 1
        assert row["novelty"] is None


def test_pages_are_joined() -> None:
    pages = [Judgement(0.2, 0.5), None, Judgement(0.7, UNLIKE)]
    assert joined_doubt(pages) == Doubt(0.7, UNLIKE, (DoubtReason.UNLIKE_TRAINING,))
    assert joined_doubt([]) == Doubt()


def test_columns() -> None:
    doubt = Doubt(0.123456, 0.5, (DoubtReason.UNLIKE_TRAINING,))
    assert doubt.columns(NEARLY_GRAY, guided=False) == {
        "doubt": 0.1235, "doubt_reasons": "unlike_training", "novelty": 0.5
    }  # fmt: skip
    assert doubt.columns(NEARLY_GRAY - 0.1, guided=True) == {
        "doubt": None, "doubt_reasons": "unlike_training,nearly_gray", "novelty": 0.5
    }  # fmt: skip
