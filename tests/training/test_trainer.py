"""Real Ray Train runs on the CPU: a killed run resumes to the same weights; a discriminator; mistakes."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from ray.train.v2._internal import constants as ray_constants

from pipeline.config.storage import StorageConfig
from pipeline.models.method_list import load_colorizer, weights_info
from pipeline.models.methods.iizuka import IizukaColorizer
from pipeline.models.weights import load_weights
from pipeline.photographs.rows import SCHEMA
from pipeline.storage import open_store
from pipeline.training.checkpoint import AveragedModel
from pipeline.training.loop import learning_rate
from pipeline.training.sections import OptimConfig
from pipeline.training.settings import TrainConfig
from pipeline.training.trainer import _cluster as cluster_of
from tests.support.forked_commands import ForkedCommand, run_forked
from tests.support.forked_workers import forked_workers
from tests.support.job_runner import shared_head
from tests.support.leases import hold, sign_of
from tests.support.paths import REPO

STEPS = 30
SETTINGS = [
    "model.method=iizuka", "model.width=0.05",
    "data.crop=64", "data.label_images=2", "data.augment.blur=0", "train.precision=fp32",
    "train.threads=1", "train.batch=2", f"train.steps={STEPS}", "train.checkpoint_steps=5",
    "train.log_steps=5", "optim.warmup=2", "train.name=small",
]  # fmt: skip


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve tiny photographs with two labels, prepared."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    rows = []
    for i in range(12):
        buffer = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (48, 64, 3)).astype(np.uint8)).save(buffer, "JPEG")
        rows.append(
            {"key": f"{i}.jpg", "source": "test", "label": ["even", "odd"][i % 2], "width": 64, "height": 48,
             "split": "val" if i > 9 else "train", "mean_chroma": 20.0, "mean_a": 3.0,
             "mean_b": 6.0, "phash": bytes(16), "sha256": str(i), "image": buffer.getvalue()}
        )  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), folder / "photos-00000.parquet")
    return folder


def command(photos: Path, storage: Path, *more: str) -> list[str]:
    settings = [part for setting in [*SETTINGS, *more] for part in ("--set", setting)]
    job = str(REPO / "jobs" / "train.py")
    return [sys.executable, job, "--photos", str(photos), "--storage", str(storage), *settings]


def run(arguments: list[str]) -> str:
    done = run_forked(arguments[1:], os.environ | shared_head())
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def undisturbed(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    storage = tmp_path_factory.mktemp("undisturbed")
    output = run(command(photos, storage))
    assert f"training at step 0 of {STEPS}" in output
    assert re.search(rf"step {STEPS} \(.*images_per_s", output)
    return storage


def export(photos: Path, storage: Path, in_process: Callable[..., Any], *more: str) -> Path:
    """Needs no Ray; in this process."""
    target = storage / "weights.safetensors"
    words = command(photos, storage, *more)[2:]
    done = in_process("train", *words, "--export", target)
    assert done.returncode == 0, done.stderr
    return target


@pytest.mark.ray
def test_the_mean_of_checkpoints_is_exported(photos: Path, undisturbed: Path, in_process) -> None:
    words = command(photos, undisturbed)[2:]
    record = json.loads((undisturbed / "small" / "checkpoint_manager_snapshot.json").read_text())
    steps = sorted(one["metrics"]["step"] for one in record["checkpoint_results"])
    assert len(steps) > 1
    files = [undisturbed / f"{step}.safetensors" for step in steps]
    for step, file in zip(steps, files, strict=True):
        assert in_process("train", *words, "--export", file, "--steps", step).returncode == 0
    mean = undisturbed / "mean.safetensors"
    assert in_process("train", *words, "--export", mean, "--steps", *steps).returncode == 0
    parts = [load_weights(str(file), "iizuka").tensors for file in files]
    for name, tensor in load_weights(str(mean), "iizuka").tensors.items():
        expected = torch.stack([part[name] for part in parts]).mean(0)
        torch.testing.assert_close(tensor, expected, rtol=1e-3, atol=1e-4, msg=name)
    refused = in_process("train", *words, "--export", mean, "--steps", steps[0], 999)
    assert refused.returncode == 2
    assert f"keeps no checkpoint of step 999; it has those of {steps[0]}," in refused.stderr


def keeps_a_checkpoint(storage: Path) -> bool:
    """Whether Ray has noted one as whole; its files may be there before."""
    noted = storage / "small" / "checkpoint_manager_snapshot.json"
    return noted.exists() and '"checkpoint_dir_name"' in noted.read_text()


@pytest.mark.first
@pytest.mark.ray
def test_a_killed_run_resumes_to_the_same_weights(
    photos: Path, undisturbed: Path, tmp_path: Path, in_process
) -> None:
    # with the short interval of our jobs, the last step could come before the kill
    own_ray = os.environ | forked_workers() | {"RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "2"}
    with ForkedCommand(command(photos, tmp_path)[1:], own_ray) as job:
        deadline = time.monotonic() + 200  # seconds; 15 on two free cores, most of it Ray's start
        while not keeps_a_checkpoint(tmp_path):
            assert job.poll() is None, job.written()
            assert time.monotonic() < deadline
            time.sleep(0.02)
    time.sleep(3)  # Ray's processes notice that the driver is gone; none may write into the run any more
    record = tmp_path / "small" / "checkpoint_manager_snapshot.json"
    record.write_text(record.read_text()[:-9])  # as a controller does that is killed while it writes
    output = run(command(photos, tmp_path))
    assert "repaired Ray's record; it names checkpoint_" in output
    started = re.search(r"training at step (\d+) of", output)
    assert started
    assert 0 < int(started[1]) < STEPS
    resumed, expected = (export(photos, storage, in_process) for storage in (tmp_path, undisturbed))
    one, other = (load_colorizer("iizuka", str(path)).colorizer.state_dict() for path in (resumed, expected))
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, other[name], rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.ray
def test_a_second_run_of_the_same_name_leaves(photos: Path, undisturbed: Path, in_process) -> None:
    folder = undisturbed / "small"
    kept = sorted(path.name for path in folder.iterdir() if not path.name.startswith("at-work-"))
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    hold(open_store(str(folder), StorageConfig()), sign_of(other.pid), number=99)
    done = in_process("train", *command(photos, undisturbed)[2:])  # leaves before it wants Ray
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: run 1 has been using ")
    assert f"(process {other.pid} on " in last
    other.communicate(b"\n")
    assert sorted(path.name for path in folder.iterdir() if not path.name.startswith("at-work-")) == kept


@pytest.mark.ray
def test_exported_weights_say_how_they_were_made(photos: Path, undisturbed: Path, in_process) -> None:
    info = weights_info("iizuka", str(export(photos, undisturbed, in_process)))
    assert info.architecture == {"width": 0.05, "classes": 2, "global_branch": True}
    assert info.labels == ("even", "odd")
    assert info.mean_ab == (3.0, 6.0)
    assert info.provenance["steps"] == STEPS
    assert info.provenance["sources"] == {"test": 12}
    assert str(photos.parent) not in str(info.provenance)  # no paths of this machine in a file that ships


@pytest.mark.ray
def test_a_finished_run_of_another_network_is_refused(photos: Path, undisturbed: Path) -> None:
    other = [*command(photos, undisturbed), "--set", "model.width=0.1"]
    done = run_forked(other[1:], os.environ | shared_head())
    assert done.returncode == 2
    assert done.stdout.count("another network") == 0  # nor is it tried again
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert "another network" in last
    assert "train.name" in last


@pytest.mark.first
@pytest.mark.ray
def test_a_discriminator_is_trained_kept_and_not_exported(
    photos: Path, tmp_path: Path, in_process: Callable[..., Any]
) -> None:
    """Two runs of one name: the second one goes on, with the discriminator of the first."""
    adversarial = ["weight=0.5", "matching=1", "warmup=1", "width=8", "blend=0.25", "gain=1.4"]
    network = [
        "model.method=unet",
        "model.width=0.125",
        "model.head=both",
        "train.workers=2",
        "train.log_steps=1",
    ]
    settings = [*network, *(f"loss.adversarial.{one}" for one in adversarial)]
    output = run(command(photos, tmp_path, *settings, "train.steps=3"))
    assert "training at step 0 of 3" in output
    assert re.search(r"step 1 \(.* discriminator \d", output)
    assert "fooled" not in re.findall(r"step 1 \(.*", output)[0]  # the warm-up
    assert re.search(r"step 3 \(.* fooled .* matching ", output)
    output = run(command(photos, tmp_path, *settings, "train.steps=5"))
    assert "training at step 3 of 5" in output
    assert re.search(r"step 4 \(.* fooled ", output)  # no warm-up again
    info = weights_info("unet", str(export(photos, tmp_path, in_process, *settings)))
    assert (info.architecture["blend"], info.architecture["gain"]) == (0.25, 1.4)
    wider = command(photos, tmp_path, *settings, "loss.adversarial.width=16", "train.steps=7")
    done = run_forked(wider[1:], os.environ | shared_head())
    assert done.returncode == 2
    assert "does not fit loss.adversarial" in done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "train.stepz=3"], "train.stepz"),
        (["--set", "data.scale=[0.9, 0.1]"], "data.scale"),
        (["--config", "none.yaml"], "none.yaml"),
        (["--photos", "/nowhere/at/all"], "/nowhere/at/all"),
        (["--set", "model.method=iizuka", "--set", "data.label_images=100"], "of 10 photographs"),
        (["--export", "x.safetensors", "--storage", "/nowhere/at/all"], "no training run"),
    ],
)
def test_user_mistakes(photos: Path, in_process, arguments: list[str], message: str) -> None:
    failed = in_process("train", "--photos", photos, *arguments)
    assert failed.returncode == 2
    assert failed.stderr.startswith("error: ")
    assert failed.stderr.count("\n") == 1
    assert message in failed.stderr


def test_reports_are_taken_often_and_the_users_interval_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray Train's own name of the variable: it takes it from the driver to its controller."""
    name = ray_constants.HEALTH_CHECK_INTERVAL_S_ENV_VAR
    assert name in ray_constants.ENV_VARS_TO_PROPAGATE
    monkeypatch.setenv(name, "")
    monkeypatch.delenv(name)
    cluster_of(TrainConfig(), streamed=False)
    assert 0 < float(os.environ[name]) < ray_constants.DEFAULT_HEALTH_CHECK_INTERVAL_S
    monkeypatch.setenv(name, "7")
    cluster_of(TrainConfig(), streamed=False)
    assert os.environ[name] == "7"


def test_learning_rate() -> None:
    config = OptimConfig(rate=1.0, warmup=9)
    assert learning_rate(config, 0, 0.0) == pytest.approx(0.1)
    assert learning_rate(config, 9, 0.0) == pytest.approx(1.0)
    assert learning_rate(config, 500, 0.5) == pytest.approx(0.5)
    assert learning_rate(config, 999, 1.0) == pytest.approx(0.0)


def test_averaged_model_follows_parameters_and_statistics() -> None:
    model = IizukaColorizer(0.05)
    averaged = AveragedModel(model, 0.5)
    before = {name: tensor.clone() for name, tensor in averaged.module.state_dict().items()}
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor.add_(1)
    averaged.update(model, step=1000)
    for name, tensor in averaged.module.state_dict().items():
        expected = before[name] + (0.5 if tensor.is_floating_point() else 1)
        torch.testing.assert_close(tensor, expected, rtol=1e-3, atol=1e-4, msg=name)
