"""Properties of the training rows; crops compared with `pipeline.color`."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from pydantic import ValidationError

from pipeline.color.spaces import srgb_to_lab
from pipeline.config.storage import StorageConfig
from pipeline.errors import ConfigError
from pipeline.models.ab_bins import BINS
from pipeline.training.data.batches import Batch
from pipeline.training.data.crops import LUMINANCE, age, lab_crop, random_film
from pipeline.training.data.dataset import Dataset, steps_by_side, streams
from pipeline.training.sections import AugmentConfig, DataConfig
from tests.support.training_data import training_rows, write_parts

PLAIN = AugmentConfig(gamma=1.0, contrast=0.0, brightness=0.0, probability=0.0, spectral=0.0)


def test_lab_crop_agrees_with_the_color_room() -> None:
    rgb8 = np.random.default_rng(0).integers(0, 256, (50, 40, 3)).astype(np.uint8)
    rgb8[0, :4] = [[0, 0, 0], [255, 255, 255], [1, 1, 1], [0, 0, 255]]
    lab = srgb_to_lab(rgb8.astype(np.float64) / 255)
    L_HW, ab_2HW = lab_crop(rgb8)
    np.testing.assert_allclose(L_HW, lab[..., 0], atol=0.02)
    np.testing.assert_allclose(ab_2HW, np.moveaxis(lab[..., 1:], -1, 0), atol=0.1)


def test_film_changes_the_input_only() -> None:
    rgb8 = np.full((8, 8, 3), (200, 40, 40), dtype=np.uint8)
    blue_sensitive = np.array([0.0, 0.1, 0.9], dtype=np.float32)
    L_eye, ab_eye = lab_crop(rgb8)
    L_film, ab_film = lab_crop(rgb8, blue_sensitive)
    assert L_film.mean() < L_eye.mean() - 15  # red lips are dark on orthochromatic plates
    np.testing.assert_array_equal(ab_eye, ab_film)
    gray = np.full((8, 8, 3), 120, dtype=np.uint8)
    np.testing.assert_allclose(lab_crop(gray, blue_sensitive)[0], lab_crop(gray)[0], atol=1e-3)


def test_aging_stays_in_range_and_can_be_switched_off() -> None:
    rng = np.random.default_rng(0)
    L_HW = (rng.random((40, 40)) * 100).astype(np.float32)
    np.testing.assert_allclose(age(L_HW, rng, PLAIN), L_HW, atol=1e-4)
    assert random_film(rng, PLAIN) is LUMINANCE
    strong = AugmentConfig(probability=1.0, spectral=1.0, grain=20.0)
    for _ in range(20):
        aged = age(L_HW, rng, strong)
        assert aged.dtype == np.float32
        assert aged.min() >= 0
        assert aged.max() <= 100
        assert random_film(rng, strong).sum() == pytest.approx(1.0, abs=1e-5)


def opened(folder: Path, storage: StorageConfig, **settings: object) -> Dataset:
    return Dataset.open(DataConfig.model_validate({"photos": str(folder), **settings}), storage)


def test_labels_tint_and_sources(tmp_path: Path, no_storage: StorageConfig) -> None:
    rows = training_rows({"cat": 3, "dog": 2, "misc": 9}, val=1)
    tints = np.arange(rows.num_rows, dtype=np.float32)
    rows = rows.set_column(rows.column_names.index("mean_a"), "mean_a", [tints])
    write_parts(tmp_path, rows, rows=6, group=4)
    data = opened(tmp_path, no_storage, label_images=3, ignore_labels=["misc"])
    assert data.labels == ("cat",)
    assert data.sources == {"cat": 4, "dog": 3, "misc": 10}
    assert data.label_numbers(data.train).tolist() == [0] * 3 + [-1] * 11
    in_training = np.array(rows["split"].to_pylist()) == "train"
    assert data.mean_ab() == pytest.approx((tints[in_training].mean(), 6.0), abs=1e-3)
    assert data.val is not None
    assert data.val.table.num_rows == 3


def test_whole_sources_are_held_out(tmp_path: Path, no_storage: StorageConfig) -> None:
    write_parts(tmp_path, training_rows({"cat": 3, "dog": 2, "misc": 9}, val=1))
    data = opened(tmp_path, no_storage, hold_out=["dog", "misc"])
    assert data.train.table["key"].to_pylist() == ["cat/0", "cat/1", "cat/2"]
    assert data.val is not None
    held = data.val.table["key"].to_pylist()
    assert held == [f"dog/{i}" for i in range(3)] + [f"misc/{i}" for i in range(10)]
    photos = data.validation(DataConfig(photos=str(tmp_path)))
    assert photos is not None
    assert photos.keys == held  # the images of these rows, not of their places in another table
    with pytest.raises(ConfigError, match="hold_out names 'horse', which no photograph"):
        opened(tmp_path, no_storage, hold_out=["horse"])
    with pytest.raises(ConfigError, match="split 'train'"):
        opened(tmp_path, no_storage, hold_out=["cat", "dog", "misc"])


def test_user_mistakes(tmp_path: Path, no_storage: StorageConfig) -> None:
    with pytest.raises(ConfigError, match=r"holds no photos-\*.parquet"):
        opened(tmp_path, no_storage)
    write_parts(tmp_path, training_rows({"few": 2}))
    assert opened(tmp_path, no_storage).val is None
    with pytest.raises(ConfigError, match="'fewer', which no photograph"):
        opened(tmp_path, no_storage, source_weights={"fewer": 2})
    write_parts(tmp_path, training_rows({"few": 0}, val=2))
    with pytest.raises(ConfigError, match="split 'train'"):
        opened(tmp_path, no_storage)


def test_the_prior_is_that_of_the_pixels(tmp_path: Path, no_storage: StorageConfig) -> None:
    write_parts(tmp_path, training_rows({"sea": 30}, broken=frozenset({"sea/0"})))
    prior_Q = opened(tmp_path, no_storage).ab_prior()
    assert prior_Q.shape == (BINS,)
    assert prior_Q.dtype == np.float32
    assert prior_Q.sum() == pytest.approx(1, abs=1e-5)
    assert np.count_nonzero(prior_Q) > 50  # random colours are everywhere
    write_parts(tmp_path, training_rows({"sea": 2}, broken=frozenset({"sea/0", "sea/1"})), rows=40)
    for stale in sorted(tmp_path.glob("*.parquet"))[1:]:
        stale.unlink()
    with pytest.raises(ConfigError, match="can be decoded"):
        opened(tmp_path, no_storage).ab_prior()


def test_what_does_not_fit_into_memory_is_streamed(tmp_path: Path, no_storage: StorageConfig) -> None:
    write_parts(tmp_path, training_rows({"sea": 30}))
    data = opened(tmp_path, no_storage)
    assert not streams(data, DataConfig())
    assert streams(data, DataConfig(memory=data.train.bytes - 1))
    assert streams(data, DataConfig(stream=True))
    assert not streams(data, DataConfig(memory=0, stream=False))


def test_from_memory_every_stretch_of_steps_is_like_the_whole(
    tmp_path: Path, no_storage: StorageConfig
) -> None:
    """Rows lie by source, and few photographs may weigh much: still no stretch is of one source."""
    write_parts(tmp_path, training_rows({"few": 20, "many": 380}), rows=100, group=50)
    data = opened(tmp_path, no_storage)
    config = DataConfig(photos=str(tmp_path), source_exponent=0)
    sampler = data.sampler(config, seed=0, batch=10, worker=0, workers=1)
    is_few = np.array(data.train.table["source"].to_pylist()) == "few"
    for first in range(0, 40, 10):  # 100 crops, of which one half is expected; deviation 5
        assert 0.3 < is_few[sampler.crops(range(first, first + 10)).rows].mean() < 0.7


def sized(folder: Path, storage: StorageConfig, **settings: object) -> tuple[Dataset, DataConfig]:
    """Eight photographs of 64 pixels ("low") and four of 128 ("high")."""
    rows = pa.concat_tables([training_rows({"low": 8}, size=64), training_rows({"high": 4}, size=128)])
    write_parts(folder, rows)
    settings = {"photos": str(folder), "crop": 64, "crops": [64, 128, 64], "label_images": 1, **settings}
    config = DataConfig.model_validate(settings)
    return Dataset.open(config, storage), config


def shown(data: Dataset, config: DataConfig, first: int, count: int, worker: int = 0) -> list[Batch]:
    sampler = data.sampler(config, seed=3, batch=2, worker=worker, workers=2)
    return list(itertools.islice(data.batches(sampler, config, first), count))


def test_crops_of_several_sizes_come_by_turns(tmp_path: Path, no_storage: StorageConfig) -> None:
    data, config = sized(tmp_path, no_storage)
    for worker in (0, 1):
        sides = [batch.L_B1HW.shape[-1] for batch in shown(data, config, 0, 6, worker)]
        assert sides == [64, 128, 64, 64, 128, 64]
    of_64: set[int] = set()
    for batch in shown(data, config, 0, 12):
        labels = set(batch.label_B.tolist())
        if batch.L_B1HW.shape[-1] == 64:
            of_64 |= labels
        else:
            assert labels == {data.labels.index("high")}  # small photographs are not enlarged
    assert len(of_64) == 2


def test_a_turn_is_the_same_in_every_run(tmp_path: Path, no_storage: StorageConfig) -> None:
    data, config = sized(tmp_path, no_storage)
    whole = shown(data, config, 0, 9)
    for first in range(1, 8):
        for one, other in zip(shown(data, config, first, 2), whole[first : first + 2], strict=True):
            assert torch.equal(one.L_B1HW, other.L_B1HW)
    assert len({batch.L_B1HW.numpy().tobytes() for batch in whole}) == 9


def test_one_size_alone_takes_photographs_of_any_size(tmp_path: Path, no_storage: StorageConfig) -> None:
    data, config = sized(tmp_path, no_storage, crop=128, crops=[])
    labels = set(torch.cat([batch.label_B for batch in shown(data, config, 0, 12)]).tolist())
    assert labels == {0, 1}


def test_crops_larger_than_all_photographs_are_refused(tmp_path: Path, no_storage: StorageConfig) -> None:
    with pytest.raises(
        ConfigError, match=r"data.crops has 256, .* the largest 128: leave it out, or prepare"
    ):
        sized(tmp_path, no_storage, crops=[64, 256])
    with pytest.raises(ValidationError, match="multiple of 8"):
        DataConfig.model_validate({"crops": [100]})


def test_steps_of_each_size_before_a_step() -> None:
    sides = (64, 128, 64, 192)
    for step in range(13):
        passed = [sides[i % 4] for i in range(step)]
        assert steps_by_side(sides, step) == {side: passed.count(side) for side in (64, 128, 192)}
