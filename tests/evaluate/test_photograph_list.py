"""What the evaluation reads: folders with a manifest, training Parquet, other Parquet; entries and sheets."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config.loading import load
from pipeline.config.storage import StorageConfig
from pipeline.errors import ConfigError
from pipeline.evaluate.photograph_list import (
    Photograph,
    Reader,
    imagenet_wnids,
    list_photographs,
    reduced,
    wnid_of,
)
from pipeline.evaluate.settings import EvaluateConfig, EvaluateSection, Sheet, shortcuts
from pipeline.evaluate.sheets import choose
from tests.support.evaluate_samples import SIZE, photograph, write_photographs
from tests.support.servers import S3Server

STORAGE = StorageConfig()


def png(seed: int) -> bytes:
    buffer = io.BytesIO()
    photograph(seed).save(buffer, "PNG")
    return buffer.getvalue()


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path)


def listed(uri: Path, **settings: Any) -> list[Photograph]:
    return list_photographs(str(uri), EvaluateSection.model_validate(settings), STORAGE)


def test_the_classes_of_imagenet() -> None:
    wnids = imagenet_wnids()
    assert len(set(wnids)) == 1000
    assert list(wnids) == sorted(wnids)
    assert (wnids[0], wnids[-1]) == ("n01440764", "n15075141")
    assert wnid_of("imagenet/n01440764_tench") == "n01440764"
    assert wnid_of("", "n00000001.JPEG", "n15075141_1.JPEG") == "n15075141"
    assert wnid_of("tench") == ""


def write_plates(folder: Path) -> Path:
    """Two scenes, of which the second has no blue plate."""
    for number, name in enumerate(("color/a", "color/b", "green/a", "green/b", "blue/a")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        photograph(number).save(folder / f"{name}.png")
    (folder / "manifest.csv").write_text(
        "file,green,blue,source\ncolor/a.png,green/a.png,blue/a.png,one\ncolor/b.png,green/b.png,,one\n"
    )
    return folder


def test_each_scene_once_for_each_plate(tmp_path: Path) -> None:
    folder = write_plates(tmp_path / "plates")
    both = listed(folder, plates=["own", "green"])
    assert [(photo.key, photo.group) for photo in both] == [
        ("color/a.png", "own"),
        ("color/b.png", "own"),
        ("color/a.png#green", "green"),
        ("color/b.png#green", "green"),
    ]
    all_three = listed(folder, plates=["own", "green", "blue"])  # of the scenes that have them all
    assert [photo.key for photo in all_three] == ["color/a.png", "color/a.png#green", "color/a.png#blue"]
    reader = Reader(str(folder), 10**6, STORAGE)
    own, green, _ = all_three
    assert reader.read(own) == reader.read(green) == photograph(0)
    assert reader.read_plate(own) is None
    assert reader.read_plate(green) == photograph(2)


def test_plates_that_are_not_there_are_refused(tmp_path: Path) -> None:
    folder = write_plates(tmp_path / "plates")
    with pytest.raises(ConfigError, match="has no plates 'red'"):
        listed(folder, plates=["red"])
    with pytest.raises(ValueError, match="names a plate twice"):
        EvaluateSection(plates=("own", "own"))


def test_files_and_manifest(tmp_path: Path) -> None:
    folder = write_photographs(tmp_path / "photos")
    photos = listed(folder)
    assert [(p.key, p.group, p.wnid) for p in photos] == [
        ("a.png", "one", "n01440764"),
        ("b.png", "one", "n01443537"),
        ("c.png", "one", ""),
        ("d.png", "two", "n15075141"),
        ("e.png", "two", ""),
    ]
    assert listed(folder, limit=2) == photos[:2]
    assert listed(folder, groups=["two"], limit=1) == photos[3:4]
    with pytest.raises(ConfigError, match="no photographs of the source 'three'; there are: one, two"):
        listed(folder, groups=["one", "three"])
    image = Reader(str(folder), 10**8, STORAGE).read(photos[3])
    assert image.size == SIZE
    assert np.array_equal(np.asarray(image), np.asarray(photograph(3)))


def test_without_a_manifest_the_folder_is_the_group(tmp_path: Path) -> None:
    (tmp_path / "harbour").mkdir()
    photograph(0).save(tmp_path / "harbour" / "x.png")
    assert listed(tmp_path) == [Photograph("harbour/x.png", "harbour")]


def test_training_parquet(tmp_path: Path) -> None:
    rows = [
        {"key": f"k{i}", "source": "s", "label": label, "split": split, "image": png(i)}
        for i, (label, split) in enumerate(
            [("", "train"), ("imagenet/n01440764_tench", "val"), ("", "train"), ("diverse", "val")]
        )
    ]
    write_parquet(tmp_path / "photos-00000.parquet", rows[:2])
    write_parquet(tmp_path / "photos-00001.parquet", rows[2:])
    photos = listed(tmp_path)
    assert photos == [
        Photograph("k1", "s", "n01440764", "photos-00000.parquet", 1),
        Photograph("k3", "s", "", "photos-00001.parquet", 1),
    ]
    assert [photo.key for photo in listed(tmp_path, split="train")] == ["k0", "k2"]
    reader = Reader(str(tmp_path), 10**8, STORAGE)
    for photo, seed in zip(photos, (1, 3), strict=True):
        assert np.array_equal(np.asarray(reader.read(photo)), np.asarray(photograph(seed)))


def test_other_parquet_by_file_name_or_by_name_of_the_split(tmp_path: Path) -> None:
    for name in ("train-00", "val"):
        row = {"key": f"{name}.JPEG", "wnid": "n01443537", "label": "goldfish", "image": png(0)}
        write_parquet(tmp_path / f"{name}.parquet", [row])
    assert [photo.key for photo in listed(tmp_path)] == ["val.JPEG"]
    (one,) = listed(tmp_path / "train-00.parquet")
    assert one == Photograph("train-00.JPEG", "train-00", "n01443537", "train-00.parquet", 0)
    image = Reader(str(tmp_path / "train-00.parquet"), 10**8, STORAGE).read(one)
    assert image.size == SIZE


def test_parquet_in_a_bucket(s3_moto: S3Server, tmp_path: Path) -> None:
    write_parquet(tmp_path / "val.parquet", [{"key": "a", "image": png(2)}])
    bucket = s3_moto.bucket()
    s3_moto.client.put_object(
        Bucket=bucket, Key="tiny/val.parquet", Body=(tmp_path / "val.parquet").read_bytes()
    )
    for uri in (f"s3://{bucket}/tiny", f"s3://{bucket}/tiny/val.parquet"):
        (one,) = list_photographs(uri, EvaluateSection(), s3_moto.storage_config)
        image = Reader(uri, 10**8, s3_moto.storage_config).read(one)
        assert np.array_equal(np.asarray(image), np.asarray(photograph(2)))
    with pytest.raises(ConfigError, match="does not exist"):
        list_photographs(f"s3://{bucket}/tiny/test.parquet", EvaluateSection(), s3_moto.storage_config)


def test_refused_inputs(tmp_path: Path) -> None:
    write_parquet(tmp_path / "val.parquet", [{"key": "a", "picture": b""}])
    with pytest.raises(ConfigError, match="no columns 'key' and 'image'"):
        listed(tmp_path)
    write_parquet(tmp_path / "val.parquet", [{"key": "a", "image": b""}] * 2)
    with pytest.raises(ConfigError, match="'a' twice"):
        listed(tmp_path)
    (tmp_path / "val.parquet").write_bytes(b"PAR0")
    with pytest.raises(ConfigError, match="is not Parquet"):
        listed(tmp_path)
    with pytest.raises(ConfigError, match="does not exist"):
        listed(tmp_path / "test.parquet")
    with pytest.raises(ConfigError, match="no photographs"):
        listed(tmp_path, split="test")


def test_small_photographs_are_enlarged_only_to_what_the_networks_need() -> None:
    tall = photograph(0).resize((20, 40))
    assert reduced(tall, 128).shape == (40, 32, 3)
    assert reduced(photograph(0), 64).shape == (64, 74, 3)
    assert reduced(photograph(0), 500).shape == (130, 150, 3)


def test_methods_on_the_command_line() -> None:
    methods = "iizuka, Old one=a/b.safetensors,s3://b/new.safetensors#sha256=" + "0" * 64
    loaded = load(EvaluateConfig, None, shortcuts(methods=methods, sheets=None, split="train", limit="3"))
    assert [(e.name, e.weights) for e in loaded.evaluate.entries] == [
        ("iizuka", "iizuka"),
        ("Old one", "a/b.safetensors"),
        ("new", "s3://b/new.safetensors#sha256=" + "0" * 64),
    ]
    assert (loaded.evaluate.split, loaded.evaluate.limit) == ("train", 3)
    with pytest.raises(ConfigError, match="--methods"):
        shortcuts(methods="a,,b")


def test_a_sheets_file_takes_the_place_of_the_configured_sheets(tmp_path: Path) -> None:
    file = tmp_path / "sheets.yaml"
    file.write_text("sheets: [{name: few, columns: {Original: ground truth}, count: 2}]")
    loaded = load(EvaluateConfig, None, shortcuts(sheets=str(file)))
    assert [sheet.name for sheet in loaded.evaluate.sheets] == ["few"]
    file.write_text("sheets: [{name: few, columns: {Original: someone}}]")
    with pytest.raises(ConfigError, match="shows 'someone', not one of: gray"):
        load(EvaluateConfig, None, shortcuts(sheets=str(file)))


def test_which_photographs_a_sheet_shows() -> None:
    photos = [Photograph(f"{i}", "even" if i % 2 == 0 else "odd") for i in range(10)]
    columns = {"Original": "ground truth"}
    assert choose(Sheet(name="s", columns=columns, count=2), photos) == ["2", "7"]
    assert choose(Sheet(name="s", columns=columns, count=50), photos) == [str(i) for i in range(10)]
    assert choose(Sheet(name="s", columns=columns, count=1, groups=("odd",)), photos) == ["5"]
    assert choose(Sheet(name="s", columns=columns, keys=("7", "3")), photos) == ["7", "3"]
    with pytest.raises(ConfigError, match="names 'x', which is not"):
        choose(Sheet(name="s", columns=columns, keys=("x",)), photos)
    with pytest.raises(ConfigError, match="group 'x'; there are: even, odd"):
        choose(Sheet(name="s", columns=columns, groups=("x",)), photos)
