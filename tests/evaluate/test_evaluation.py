"""The evaluation: known colourings get the expected errors, on one worker and on two; its command."""

from __future__ import annotations

import io
import json
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from jobs.evaluate import main
from pipeline.color import metrics
from pipeline.config.loading import effective_yaml
from pipeline.config.storage import StorageConfig
from pipeline.evaluate.measure import PSNR_CEILING, SCHEMA, Measurements, Measurer, MeasuringTask
from pipeline.evaluate.photograph_list import Photograph, list_photographs
from pipeline.evaluate.settings import EvaluateConfig
from tests.support.evaluate_samples import TINT, photograph, write_photographs, write_weights
from tests.support.job_runner import run_job

SIDE = 64
pytestmark = pytest.mark.timeout(900)  # Ray's start alone takes minutes beside a training on every core


def config_of(*weights: Path, **settings: Any) -> EvaluateConfig:
    entries = [{"name": path.stem, "weights": str(path)} for path in weights]
    given = {"entries": entries, "side": SIDE, "precision": "fp32", "resamples": 200} | settings
    return EvaluateConfig.model_validate({"evaluate": given})


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluate")
    write_photographs(folder / "photos")
    write_weights(folder / "tinted.safetensors")
    write_weights(folder / "vivid.safetensors", (30.0, 40.0))
    return folder


@pytest.fixture(scope="module")
def plain(root: Path) -> Measurements:
    """Without Ray, all photographs in one go."""
    config = config_of(root / "tinted.safetensors", root / "vivid.safetensors")
    task = MeasuringTask(str(root / "photos"), config, TINT, {"b.png": (SIDE,), "d.png": (SIDE,)})
    photos = list_photographs(task.input, config.evaluate, StorageConfig())
    return Measurer(task).run(photos)


def by_name(table: pa.Table, key: str) -> dict[str, dict[str, Any]]:
    return {row["colored_by"]: row for row in table.to_pylist() if row["key"] == key}


@pytest.mark.slow
def test_a_row_per_photograph_and_colouring(plain: Measurements) -> None:
    assert plain.rows.schema == SCHEMA
    assert plain.rows.num_rows == 5 * 5
    assert plain.unreadable == []
    rows = plain.rows.to_pylist()
    assert [row["key"] for row in rows[::5]] == [f"{name}.png" for name in "abcde"]
    labels = {row["key"]: (row["group"], row["label"]) for row in rows}
    assert labels["a.png"] == ("one", "n01440764")
    assert labels["b.png"] == ("one", "n01443537")
    assert labels["c.png"] == ("one", "")
    assert {row["width"] / row["height"] for row in rows} == {74 / 64}
    for row in rows:
        assert (row["top1_correct"] is None) == (row["label"] == "")
        assert len(row["lite0_features"]) == 1280


def test_a_network_that_says_the_tint_is_the_tint(plain: Measurements) -> None:
    rows = by_name(plain.rows, "a.png")
    for name in ("psnr_db", "ssim", "ab_rmse", "ciede2000", "auc_ab", "colorfulness_signed"):
        assert rows["tinted"][name] == pytest.approx(rows["constant tint"][name], rel=2e-3)
    assert rows["vivid"]["colorfulness_signed"] > 2 * rows["tinted"]["colorfulness_signed"]
    assert rows["gray"]["colorfulness_signed"] == rows["gray"]["colorfulness_absolute"] == 0


def test_a_plate_changes_what_is_seen_and_not_what_it_is_judged_by(root: Path) -> None:
    photos = [Photograph("a.png", "own"), Photograph("a.png#b", "b", plate="b.png", of="a.png")]
    config = config_of(root / "tinted.safetensors", plates=["own", "b"])
    measured = Measurer(MeasuringTask(str(root / "photos"), config, TINT, {"a.png#b": (SIDE,)})).run(photos)
    own, plate = (by_name(measured.rows, photo.key) for photo in photos)
    for name in (
        "gray",
        "constant tint",
        "ground truth",
        "tinted",
    ):  # whose network says the same of anything
        assert own[name]["ciede2000"] == pytest.approx(plate[name]["ciede2000"], abs=0.02)
    assert own["ground truth"]["mean_chroma"] > own["gray"]["mean_chroma"] == pytest.approx(0, abs=0.1)
    seen = Image.open(io.BytesIO(measured.pictures["a.png#b", SIDE, "input"]))
    wanted = photograph(1).convert("L").convert("RGB").resize(seen.size, Image.Resampling.LANCZOS)
    assert np.abs(np.asarray(seen, float) - np.asarray(wanted, float)).max() <= 1


def test_the_truth_has_colour_and_no_errors(plain: Measurements) -> None:
    truth = by_name(plain.rows, "a.png")["ground truth"]
    errors = ("psnr_db", "ssim", "ab_rmse", "ciede2000", "auc_ab", "lite0_perceptual")
    assert [truth[name] for name in errors] == [None] * len(errors)
    assert truth["colorfulness_signed"] > 5


def test_gray_is_as_wrong_as_the_photograph_is_colourful(plain: Measurements) -> None:
    row = by_name(plain.rows, "b.png")["gray"]
    truth = np.asarray(photograph(1).resize((row["width"], row["height"]), Image.Resampling.LANCZOS))
    no_color = np.full_like(truth, 128)  # its ab are 0, which is all that ab-RMSE looks at
    assert row["ab_rmse"] == pytest.approx(
        metrics.ab_rmse(metrics.to_lab(truth), metrics.to_lab(no_color)), abs=0.05
    )
    assert 0 < row["lite0_perceptual"] < 4


def test_a_gray_photograph_has_no_infinite_psnr(root: Path, tmp_path: Path) -> None:
    photograph(0).convert("L").save(tmp_path / "gray.png")
    config = config_of(root / "tinted.safetensors")
    task = MeasuringTask(str(tmp_path), config, TINT)
    measured = Measurer(task).run(list_photographs(task.input, config.evaluate, StorageConfig()))
    assert by_name(measured.rows, "gray.png")["gray"]["psnr_db"] == pytest.approx(PSNR_CEILING)
    assert pytest.approx(58.92, abs=0.01) == PSNR_CEILING


def test_pictures_are_what_was_measured(plain: Measurements) -> None:
    assert {key for key, _, _ in plain.pictures} == {"b.png", "d.png"}
    row = by_name(plain.rows, "b.png")["vivid"]
    with Image.open(io.BytesIO(plain.pictures["b.png", SIDE, "vivid"])) as picture:
        assert metrics.colorfulness(np.asarray(picture)) == pytest.approx(
            row["colorfulness_signed"], rel=1e-6
        )


def test_an_unreadable_photograph_is_a_name_and_a_reason(root: Path, tmp_path: Path) -> None:
    photograph(0).save(tmp_path / "good.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "good.png").read_bytes()[:900])
    config = config_of(root / "tinted.safetensors")
    task = MeasuringTask(str(tmp_path), config, TINT)
    measured = Measurer(task).run(list_photographs(task.input, config.evaluate, StorageConfig()))
    assert [key for key, _ in measured.unreadable] == ["cut.png"]
    assert measured.unreadable[0][1]
    assert set(measured.rows["key"].to_pylist()) == {"good.png"}


run = partial(run_job, "evaluate", timeout=600)


def write_config(path: Path, root: Path, **settings: Any) -> Path:
    config = config_of(root / "tinted.safetensors", root / "vivid.safetensors", **settings)
    path.write_text(effective_yaml(config))
    return path


@pytest.fixture(scope="module")
def done(root: Path) -> tuple[subprocess.CompletedProcess[str], Path]:
    """The command with a real Ray: two workers, a portion each photograph, and a file that is no picture."""
    photos = write_photographs(root / "with-broken")
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    sheet = {
        "name": "pair",
        "columns": {"Input": "gray", "Vivid": "vivid", "Original": "ground truth"},
        "keys": ["d.png", "b.png", "broken.jpg"],
        "height": 60,
    }
    settings = {"shard": 1, "workers": 2, "max_unreadable": 0.2, "sheets": [sheet]}
    config = write_config(root / "config.yaml", root, **settings)
    return run("--input", photos, "--output", root / "out", "--config", config), root / "out"


@pytest.mark.ray
def test_two_workers_measure_what_one_does(
    done: tuple[subprocess.CompletedProcess[str], Path], plain: Measurements
) -> None:
    finished, out = done
    assert finished.returncode == 0, finished.stderr
    assert pq.read_table(out / "evaluation.parquet").equals(plain.rows)


@pytest.mark.ray
def test_what_the_command_says_and_writes(done: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    finished, out = done
    assert finished.returncode == 0, finished.stderr
    assert "unreadable: broken.jpg: " in finished.stderr
    assert "6 of 6 photographs" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert (out / "evaluation.md").read_text() == finished.stdout
    for line in ("## all (5 photographs, 3 with a class)", "## two (2 photographs, 1 with a class)"):
        assert line in finished.stdout
    report = json.loads((out / "evaluation.json").read_text())
    assert [one["key"] for one in report["unreadable"]] == ["broken.jpg"]
    assert [entry["name"] for entry in report["entries"]] == ["tinted", "vivid"]
    assert len(report["rows"]) == 3 * 5
    gray = report["rows"][0]
    assert (gray["group"], gray["colored_by"]) == ("all", "gray")
    value, low, high = gray["metrics"]["psnr_db"]
    assert low < value < high
    costs = [row["metrics"].get("cpu_seconds") for row in report["rows"][:5]]
    assert [cost is not None for cost in costs] == [False, False, True, True, False]  # the networks alone
    assert "| CPU, s an image ↓ | peak memory, MB ↓ |" in finished.stdout
    page = (out / "evaluation.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 1
    assert "http" not in page


@pytest.mark.ray
def test_the_sheet_shows_the_chosen_photographs(
    done: tuple[subprocess.CompletedProcess[str], Path], plain: Measurements
) -> None:
    finished, out = done
    assert finished.returncode == 0, finished.stderr
    with Image.open(out / "sheets" / "pair.jpg") as opened:
        sheet = np.asarray(opened.convert("RGB")).astype(int)
    cell = round(60 * 74 / 64)
    with Image.open(io.BytesIO(plain.pictures["d.png", SIDE, "vivid"])) as picture:
        expected = np.asarray(picture.resize((cell, 60), Image.Resampling.LANCZOS)).astype(int)
    left, top = 24 + cell + 6, 24 + 34
    shown = sheet[top : top + 60, left : left + cell]
    assert np.abs(shown - expected)[4:-4, 4:-4].mean() < 4


@pytest.mark.ray
def test_too_many_unreadable_stop_the_run(root: Path, tmp_path: Path) -> None:
    photos = write_photographs(tmp_path / "photos")
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    config = write_config(tmp_path / "config.yaml", root, workers=1)
    failed = run("--photos", photos, "--output", tmp_path / "out", "--config", config)
    assert failed.returncode == 1
    assert "unreadable: broken.jpg: " in failed.stderr
    assert "evaluate.max_unreadable 0.01" in failed.stderr.splitlines()[-1]
    assert "Traceback" not in failed.stderr
    assert not (tmp_path / "out" / "evaluation.parquet").exists()


def test_user_mistakes(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    photos, weights = root / "photos", root / "tinted.safetensors"
    for given, message in [
        (["--photos", tmp_path / "empty", "--methods", weights], "no photographs"),
        (["--photos", tmp_path / "none", "--methods", weights], "none"),
        (["--photos", photos, "--methods", photos / "a.png"], "not a weights file"),
        (["--photos", photos, "--methods", "magic"], "magic"),
        (["--photos", photos, "--methods", f"{weights},{weights}"], "'tinted' is taken"),
        (["--photos", photos, "--set", "evaluate.sides=3"], "evaluate.sides"),
        (["--photos", photos, "--limit", "0"], "evaluate.limit"),
        (["--photos", photos, "--methods", weights, "--output", photos / "out"], "is inside the input"),
    ]:
        status = main([str(argument) for argument in ["--output", tmp_path / "out", *given]])
        text = capsys.readouterr()
        assert (status, text.out) == (2, "")
        assert text.err.startswith("error: ")
        assert text.err.count("\n") == 1
        assert message in text.err
