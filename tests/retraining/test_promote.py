"""`jobs/promote.py` as operators use it: a first champion, a worse challenger, and the rollback."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from jobs.promote import main
from pipeline.color.spaces import lab_to_srgb
from pipeline.config.loading import load
from pipeline.config.storage import StorageConfig
from pipeline.errors import ConfigError
from pipeline.evaluate.evaluation import pinned
from pipeline.evaluate.settings import METRICS, EvaluateConfig, EvaluateSection
from pipeline.models.methods.iizuka import IizukaColorizer
from pipeline.models.weights import WeightsInfo, encode_weights
from pipeline.models.weights_registry import WeightsRegistry
from pipeline.photographs.prepare import prepare_photos
from pipeline.photographs.settings import PrepareConfig
from pipeline.retraining.gate import GateMetric, GateSection
from pipeline.retraining.heldout import refuse_trained_on
from pipeline.retraining.settings import PromoteConfig
from pipeline.storage import open_store
from tests.support.job_runner import run_job
from tests.support.paths import REPO

TINT = (12.0, 18.0)
SMALL = ("--set", "evaluate.side=48", "--set", "gate.min_photographs=10", "--set", "evaluate.workers=1")


def photograph(seed: int, width: int = 56, height: int = 48) -> Image.Image:
    """Smooth shapes whose colours lie around TINT."""
    rng = np.random.default_rng(seed)
    coarse = np.concatenate([rng.uniform(25, 85, (5, 6, 1)), rng.normal(TINT, 4, (5, 6, 2))], axis=-1)
    planes = [
        np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC))
        for plane in np.moveaxis(coarse.astype(np.float32), -1, 0)
    ]
    rgb = lab_to_srgb(np.stack(planes, axis=-1))
    return Image.fromarray((np.clip(rgb, 0, 1) * 255).round().astype(np.uint8))


def network(path: Path, ab: tuple[float, float] | None = None) -> str:
    """A network that says `ab` whatever it sees; None: what an untrained one says."""
    torch.manual_seed(0)
    colorizer = IizukaColorizer(0.05)
    if ab is not None:
        output = colorizer.network.colorization.output
        assert output.bias is not None
        nn.init.zeros_(output.weight)
        low, high = colorizer.ab_range
        with torch.no_grad():
            output.bias.copy_(torch.logit((torch.tensor(ab) - low) / (high - low)))
    units = (colorizer.ab_range, colorizer.normalisation)
    info = WeightsInfo("iizuka", colorizer.architecture(), (1.0, 1.0), *units)
    path.write_bytes(encode_weights(colorizer.state_dict(), info))
    return str(path)


@pytest.fixture
def photos(tmp_path: Path) -> str:
    folder = tmp_path / "held-out"
    folder.mkdir()
    for seed in range(12):
        photograph(seed).save(folder / f"{seed:02d}.png")
    return str(folder)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run_job("promote", *arguments, timeout=280)


@pytest.mark.first
@pytest.mark.ray
def test_a_first_champion_and_a_challenger_that_is_worse(photos: str, tmp_path: Path) -> None:
    registry = f"{tmp_path}/models/warm"
    good, untrained = network(tmp_path / "good.safetensors", TINT), network(tmp_path / "new.safetensors")

    first = run("--registry", registry, "--challenger", good, "--photos", photos, "--first", *SMALL)
    assert first.returncode == 0, first.stderr
    (entry,) = WeightsRegistry(registry).history()
    assert (entry.reason, entry.source.partition("#")[0]) == ("first", good)
    assert entry.evaluation is not None
    assert (entry.evaluation.photographs, entry.evaluation.short_side) == (12, 48)
    results = {(d.reference, d.metric): d for d in entry.evaluation.differences}
    assert {reference for reference, _ in results} == {"gray", "constant tint"}
    assert {d.verdict for d in results.values()} == {"better"}
    assert results["gray", "ab_rmse"].difference < -8  # most of the distance from gray to TINT
    report = (tmp_path / "models" / "warm" / "000001.md").read_text()
    assert report.startswith("# warm: promoted as entry 1\n")
    assert report in first.stdout
    assert "| psnr_db | higher |" in report

    kept = str(tmp_path / "evaluation")
    args = ("--registry", registry, "--challenger", untrained, "--photos", photos, "--output", kept, *SMALL)
    worse = run(*args)
    assert worse.returncode == 3, worse.stderr
    last = worse.stdout.splitlines()[-1]
    assert last.startswith("not promoted: psnr_db, ab_rmse, ciede2000")
    assert last.endswith("worse than entry 1")
    assert WeightsRegistry(registry).history() == [entry]
    assert not (tmp_path / "models" / "warm" / "000002.md").exists()
    assert (tmp_path / "evaluation" / "evaluation.md").exists()


def test_the_champion_again_is_nothing_to_promote(photos: str, tmp_path: Path, capsys) -> None:
    registry, weights = f"{tmp_path}/models/warm", network(tmp_path / "good.safetensors", TINT)
    WeightsRegistry(registry).promote(weights, previous=None)
    for challenger in (weights, f"registry:{registry}"):
        assert main(["--registry", registry, "--challenger", challenger, "--photos", photos]) == 0
        assert "nothing to promote: entry 1" in capsys.readouterr().out
    assert WeightsRegistry(registry).numbers() == [1]


def test_rollback_and_history(tmp_path: Path, capsys) -> None:
    registry = f"{tmp_path}/models/warm"
    catalog = WeightsRegistry(registry)
    for number in range(3):
        weights = network(tmp_path / f"{number}.safetensors", (float(number), 0.0))
        catalog.promote(weights, previous=number or None)
    assert main(["--registry", registry, "--rollback", "--dry-run"]) == 0
    assert "entry 2 would be the champion again" in capsys.readouterr().out
    assert catalog.numbers() == [1, 2, 3]
    assert main(["--registry", registry, "--rollback"]) == 0
    assert "rolled back: entry 4" in capsys.readouterr().out
    assert main(["--registry", registry, "--rollback", "1"]) == 0
    capsys.readouterr()
    assert main(["--registry", registry, "--history"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[:7] for line in lines] == ["000001 ", "000002 ", "000003 ", "000004 ", "000005*"]
    assert "rollback to 000001" in lines[-1]
    assert catalog.history()[0].sha256[:12] in lines[-1]


def test_user_mistakes(photos: str, tmp_path: Path, capsys) -> None:
    registry, weights = f"{tmp_path}/models/warm", network(tmp_path / "good.safetensors", TINT)
    challenge = ["--challenger", weights, "--photos", photos]
    for arguments, message in [
        (["--registry", registry, *challenge], "no champion to compare with.*--first"),
        (["--registry", "s3://", *challenge], "is not the name of a weights registry"),
        (["--registry", registry, "--rollback"], "is empty"),
        (["--registry", registry, "--rollback", "0"], "is empty"),
        (["--registry", registry, "--history"], "has no entry"),
        (["--registry", registry, "--challenger", "none", "--photos", photos, "--first"], "none"),
        (["--registry", registry, "--first", *challenge, "--set", "gate.metric=x"], r"gate\.metric"),
        (["--registry", registry, "--first", *challenge, "--set", "gate.metrics=[]"], r"gate\.metrics"),
    ]:
        assert main(arguments) == 2
        text = capsys.readouterr()
        assert text.err.startswith("error: ")
        assert text.err.count("\n") == 1
        assert text.out == ""
        assert re.search(message, text.err)
    for arguments in (["--registry", registry], ["--registry", registry, "--challenger", weights]):
        with pytest.raises(SystemExit) as left:
            main(arguments)
        assert left.value.code == 2
    assert not (tmp_path / "models").exists()


def test_photographs_that_were_trained_on_are_refused(photos: str, tmp_path: Path) -> None:
    trained, storage = str(tmp_path / "train-photos"), StorageConfig()
    config = PrepareConfig.model_validate({"photos": {"val_permille": 0}})
    prepare_photos([photos], trained, config)
    rows = open_store(trained, storage)
    settings = EvaluateSection()
    with pytest.raises(ConfigError, match=r"12 of the 12 photographs .* were trained on, such as 00\.png"):
        refuse_trained_on(photos, (rows,), settings, storage)

    # the same picture in another size and format is found, other pictures are not
    other = tmp_path / "other"
    other.mkdir()
    for seed in range(100, 105):
        photograph(seed).save(other / f"{seed}.png")
    assert refuse_trained_on(str(other), (rows,), settings, storage) == 5
    photograph(3).resize((112, 96), Image.Resampling.LANCZOS).save(other / "copy.jpg", quality=85)
    with pytest.raises(
        ConfigError, match=r"1 of the 6 photographs .* such as copy\.jpg \(held-out/03\.png in"
    ):
        refuse_trained_on(str(other), (rows,), settings, storage)
    with pytest.raises(ConfigError, match=r"holds no photos-\*\.parquet"):
        refuse_trained_on(str(other), (open_store(photos, storage),), settings, storage)


def test_what_prepare_photos_kept_for_validation_is_held_out(photos: str, tmp_path: Path) -> None:
    trained = str(tmp_path / "train-photos")
    config = PrepareConfig.model_validate({"photos": {"val_permille": 500}})
    kept = prepare_photos([photos], trained, config).kept
    assert kept["val"] > 0
    assert kept["train"] > 0
    rows = open_store(trained, StorageConfig())
    assert refuse_trained_on(trained, (rows,), EvaluateSection(), StorageConfig()) == kept["val"]


def test_an_evaluation_of_registry_weights_measures_what_they_stand_for_when_it_begins(
    tmp_path: Path,
) -> None:
    catalog = WeightsRegistry(f"{tmp_path}/models/warm")
    entry = catalog.promote(network(tmp_path / "a.safetensors", TINT), previous=None)
    entries = [
        {"name": "in use", "weights": f"registry:{catalog.uri}"},
        {"name": "shipped", "weights": "iizuka"},
    ]
    config = pinned(EvaluateConfig.model_validate({"evaluate": {"entries": entries}}))
    catalog.promote(network(tmp_path / "b.safetensors"), previous=1)
    assert [e.weights for e in config.evaluate.entries] == [catalog.locate(entry), "iizuka"]


def test_the_gate_takes_every_metric_of_the_evaluation_and_no_other() -> None:
    for name in METRICS:
        assert GateMetric(name=name, better="higher", tolerance=0).name == name
    with pytest.raises(ValueError, match="must be one of psnr_db"):
        GateMetric(name="psnr", better="higher", tolerance=0)


def test_the_shipped_configuration_is_the_default_gate() -> None:
    shipped = load(PromoteConfig, str(REPO / "configs" / "promote" / "default.yaml"))
    assert shipped.gate == GateSection()
