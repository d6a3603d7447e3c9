"""The weights registry on a folder and on an S3 server: one winner, entries never change, rollback."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
import torch

from pipeline.config.storage import StorageConfig
from pipeline.errors import ConfigError, RunError, WeightsError
from pipeline.models.method_list import load_colorizer
from pipeline.models.methods.iizuka import IizukaColorizer
from pipeline.models.registry_entries import Difference, Evaluation, RegistryEntry
from pipeline.models.weights import WeightsInfo, encode_weights
from pipeline.models.weights_registry import WeightsRegistry, pin_weights

EVALUATION = Evaluation(
    photos="photos/held-out",
    photographs=40,
    short_side=128,
    confidence=0.95,
    resamples=2000,
    seed=0,
    differences=(
        Difference(
            metric="psnr_db",
            better="higher",
            tolerance=0.05,
            reference="entry 1",
            photographs=40,
            mean_reference=22.0,
            mean_challenger=23.0,
            difference=1.0,
            low=0.8,
            high=1.25,
            verdict="better",
        ),
    ),
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Three different weights files."""
    folder = tmp_path_factory.mktemp("weights")
    for seed in range(3):
        torch.manual_seed(seed)
        colorizer = IizukaColorizer(0.05)
        units = (colorizer.ab_range, colorizer.normalisation)
        info = WeightsInfo("iizuka", colorizer.architecture(), (1.0, 2.0), *units)
        (folder / f"{seed}.safetensors").write_bytes(encode_weights(colorizer.state_dict(), info))
    return [str(folder / f"{seed}.safetensors") for seed in range(3)]


@pytest.fixture(params=["local", "moto"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, StorageConfig]:
    """REGISTRY/NAME, and how it is reached."""
    if request.param == "local":
        return f"{tmp_path}/registry/iizuka", StorageConfig()
    server = request.getfixturevalue("s3_moto")
    return f"s3://{server.bucket()}/registry/iizuka", server.storage_config


@pytest.fixture
def catalog(place: tuple[str, StorageConfig]) -> WeightsRegistry:
    return WeightsRegistry(*place)


def keys(catalog: WeightsRegistry) -> list[str]:
    return [info.key for info in catalog.store.list()]


def test_promotions_are_numbered_and_hold_what_they_were_told(
    catalog: WeightsRegistry, files: list[str]
) -> None:
    assert (catalog.champion(), catalog.history()) == (None, [])
    first = catalog.promote(files[0], previous=None)
    second = catalog.promote(files[1], previous=1, evaluation=EVALUATION)
    assert catalog.history() == [first, second]
    assert catalog.champion() == second
    assert (first.number, first.reason, first.previous, first.evaluation) == (1, "first", None, None)
    assert (second.number, second.reason, second.previous) == (2, "promotion", 1)
    assert second.evaluation == EVALUATION
    assert (second.method, second.source) == ("iizuka", files[1])
    assert second.software.startswith("Fiat Color ")
    assert second.made_at.utcoffset() is not None
    assert "@" in second.made_by
    names = sorted(entry.weights.partition("#")[0] for entry in (first, second))
    assert keys(catalog) == ["000001.json", "000002.json", *names]


def test_a_champion_outlives_the_file_it_came_from(
    catalog: WeightsRegistry, files: list[str], tmp_path: Path
) -> None:
    gone = tmp_path / "gone.safetensors"
    gone.write_bytes(Path(files[0]).read_bytes())
    entry = catalog.promote(str(gone), previous=None)
    gone.unlink()
    storage = getattr(catalog.store, "config", None)
    uri = pin_weights(f"registry:{catalog.uri}", storage)
    assert uri == f"{catalog.uri}/weights/{entry.sha256}.safetensors#sha256={entry.sha256}"
    loaded = load_colorizer("iizuka", uri, precision="fp32", storage=storage)
    assert loaded.weights_digest == entry.sha256


def test_of_two_promoters_one_wins_and_the_other_is_told(
    place: tuple[str, StorageConfig], files: list[str]
) -> None:
    WeightsRegistry(*place).promote(files[0], previous=None)
    start = Barrier(2)

    def promote(weights: str) -> RegistryEntry | RunError:
        mine = WeightsRegistry(*place)
        start.wait()
        try:
            return mine.promote(weights, previous=1)
        except RunError as error:
            return error

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(promote, files[1:]))
    (won,) = [result for result in outcomes if isinstance(result, RegistryEntry)]
    (lost,) = [result for result in outcomes if isinstance(result, RunError)]
    assert "another promotion wrote entry 2" in str(lost)
    assert lost.exit_status == 1
    assert WeightsRegistry(*place).history()[1:] == [won]


def test_rollbacks_go_further_and_further_back(catalog: WeightsRegistry, files: list[str]) -> None:
    output = [catalog.promote(file, previous=n or None) for n, file in enumerate(files)]
    back = catalog.roll_back()
    assert (back.number, back.reason, back.restores, back.previous) == (4, "rollback", 2, 3)
    assert (back.sha256, back.source) == (output[1].sha256, "entry 2")
    assert catalog.roll_back().sha256 == output[0].sha256
    with pytest.raises(ConfigError, match="no entry before the weights in use"):
        catalog.roll_back()
    forward = catalog.roll_back(3)
    assert (forward.sha256, forward.restores, forward.number) == (output[2].sha256, 3, 6)
    assert catalog.champion() == forward
    assert catalog.roll_back(4).restores == 2  # an entry that was itself a rollback
    assert [entry.number for entry in catalog.history()] == [1, 2, 3, 4, 5, 6, 7]
    assert catalog.history()[:3] == output


def test_a_promotion_after_a_rollback_goes_back_to_what_was_in_use(
    catalog: WeightsRegistry, files: list[str]
) -> None:
    first = catalog.promote(files[0], previous=None)
    catalog.promote(files[1], previous=1)
    catalog.roll_back()
    catalog.promote(files[2], previous=3)
    assert catalog.roll_back().sha256 == first.sha256


def test_the_way_back_is_checked_before_it_is_taken(catalog: WeightsRegistry, files: list[str]) -> None:
    first = catalog.promote(files[0], previous=None)
    catalog.promote(files[1], previous=1)
    with pytest.raises(ConfigError, match="has no entry 9"):
        catalog.roll_back(9)
    catalog.store.put(first.weights.partition("#")[0], b"not what it was")
    with pytest.raises(WeightsError, match="have sha256"):
        catalog.roll_back()
    with pytest.raises(WeightsError, match="damaged: its bytes have another sha256"):
        catalog.promote(files[0], previous=2)
    assert catalog.numbers() == [1, 2]


DAMAGES = {
    "cut off": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "another number": lambda data: data.replace(b'"number": 1', b'"number": 7'),
    "an unknown field": lambda data: data.replace(b'"number"', b'"colour": 3, "number"'),
    "another file": lambda data: data.replace(b"#sha256=", b"#sha256=0")[:-1] + b" ",
    "a rollback to nothing": lambda data: data.replace(b'"first"', b'"rollback"'),
}


@pytest.mark.parametrize("damage", list(DAMAGES))
def test_a_damaged_entry_is_one_clear_line_and_can_be_rolled_over(
    damage: str, tmp_path: Path, files: list[str]
) -> None:
    catalog = WeightsRegistry(f"{tmp_path}/iizuka")
    catalog.promote(files[0], previous=None)
    path = tmp_path / "iizuka" / "000001.json"
    good = path.read_bytes()
    bad = DAMAGES[damage](good)
    assert bad != good
    path.write_bytes(bad)
    for attempt in (catalog.champion, catalog.history, lambda: pin_weights(f"registry:{catalog.uri}")):
        with pytest.raises(WeightsError, match=r"000001\.json is damaged") as told:
            attempt()
        assert "\n" not in str(told.value)
    path.write_bytes(good)
    (tmp_path / "iizuka" / "000002.json").write_bytes(bad)
    assert catalog.roll_back(1).number == 3
    assert catalog.champion() == catalog.read(3)


def test_names_that_are_none(tmp_path: Path) -> None:
    for uri in ("", "/", "s3://bucket", "s3://", f"{tmp_path}/..", f"{tmp_path}/a b", f"{tmp_path}/x#1/y"):
        with pytest.raises(ConfigError, match="is not the name of a weights registry"):
            WeightsRegistry(uri)
    with pytest.raises(WeightsError, match=r"no champion.*promote"):
        pin_weights(f"registry:{tmp_path}/nothing")
    assert list(tmp_path.iterdir()) == []


def test_only_registry_names_are_pinned() -> None:
    for weights in (None, "iizuka", "w.safetensors", "s3://b/w.safetensors#sha256=" + "0" * 64):
        assert pin_weights(weights) == weights


def test_an_entry_reads_as_plain_json(tmp_path: Path, files: list[str]) -> None:
    entry = WeightsRegistry(f"{tmp_path}/iizuka").promote(files[0], previous=None, evaluation=EVALUATION)
    read = json.loads((tmp_path / "iizuka" / "000001.json").read_text())
    assert read["evaluation"]["differences"][0]["low"] == 0.8
    assert read["weights"].endswith(entry.sha256)
