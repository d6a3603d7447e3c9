"""Batches: units, balance, reproducibility; crops against the colour room."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from pipeline.color import srgb_to_lab
from pipeline.errors import ConfigError
from pipeline.training.config import AugmentConfig, DataConfig
from pipeline.training.crops import LUMINANCE, age, lab_crop, random_film
from pipeline.training.dataset import Photos, ahead, known_labels, mean_ab, training_batch, validation_batches
from pipeline.training.prepare import SCHEMA

PLAIN = AugmentConfig(gamma=1.0, contrast=0.0, brightness=0.0, probability=0.0, spectral=0.0)


def table(counts: dict[str, int], val: int = 1) -> pa.Table:
    """`counts` photographs per source, each of one colour of its own; the source is its label too."""
    made = []
    for source, n in counts.items():
        for i in range(n + val):
            color = (10 * len(made) % 256, 200 - 7 * i % 200, 30)
            buffer = io.BytesIO()
            Image.new("RGB", (70 + i, 64), color).save(buffer, "PNG")
            made.append(
                {"key": f"{source}/{i}", "source": source, "label": source, "width": 64, "height": 64,
                 "split": "train" if i < n else "val", "mean_chroma": 20.0, "mean_a": float(i), "mean_b": 5.0,
                 "phash": bytes(16), "sha256": "", "image": buffer.getvalue()}
            )  # fmt: skip
    return pa.Table.from_pylist(made, SCHEMA)


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


def test_labels_and_tint_come_from_the_training_split() -> None:
    rows = table({"cat": 3, "dog": 2, "misc": 9}, val=1)
    config = DataConfig(label_images=3, ignore_labels=("misc",))
    assert known_labels(rows, config) == ("cat",)
    expected = np.mean([*range(3), *range(2), *range(9)])
    assert mean_ab(rows) == pytest.approx((expected, 5.0), abs=1e-3)


def test_sources_are_balanced() -> None:
    rows = table({"many": 81, "few": 1})
    chances = {}
    for exponent in (1.0, 0.5, 0.0):
        photos = Photos.of(rows, "train", (), DataConfig(source_exponent=exponent))
        assert photos.chances.sum() == pytest.approx(1.0)
        chances[exponent] = photos.chances[-1]
    assert chances == pytest.approx({1.0: 1 / 82, 0.5: 1 / 10, 0.0: 1 / 2})
    halved = Photos.of(rows, "train", (), DataConfig(source_exponent=0, source_weights={"few": 0.5}))
    assert halved.chances[-1] == pytest.approx(1 / 3)


def test_user_mistakes() -> None:
    with pytest.raises(ConfigError, match="'fewer', which no photograph"):
        Photos.of(table({"few": 2}), "train", (), DataConfig(source_weights={"fewer": 2}))
    with pytest.raises(ConfigError, match="split 'val'"):
        Photos.of(table({"few": 2}, val=0), "val", (), DataConfig())


def test_workers_share_the_photographs() -> None:
    rows = table({"a": 5, "b": 4})
    parts = [Photos.of(rows, "train", ("a", "b"), DataConfig(), part, 2) for part in range(2)]
    assert sorted(parts[0].images + parts[1].images) == sorted(
        Photos.of(rows, "train", (), DataConfig()).images
    )
    assert len(parts[0].images) == 5


def test_batches_are_what_they_say() -> None:
    config = DataConfig(crop=64, augment=PLAIN)
    photos = Photos.of(table({"a": 4, "b": 4}), "train", ("a",), config)
    batch = training_batch(photos, config, 6, (0, 0, 0))
    assert batch.L_B1HW.shape == (6, 1, 64, 64)
    assert batch.ab_B2HW.shape == (6, 2, 64, 64)
    assert set(batch.label_B.tolist()) <= {0, -1}
    assert 0 <= float(batch.L_B1HW.min()) < float(batch.L_B1HW.max()) <= 100
    assert float(batch.ab_B2HW.abs().max()) > 10  # Lab units, not [0, 1]


def test_a_step_has_the_same_batch_in_every_run() -> None:
    """Resume needs no random state: step 3 is step 3, whether or not steps 0 to 2 came before."""
    config = DataConfig(crop=64, threads=3)
    photos = Photos.of(table({"a": 6}), "train", ("a",), config)
    from_start = list(itertools.islice(ahead(photos, config, 2, (7, 0), 0), 5))
    resumed = next(ahead(photos, config, 2, (7, 0), 3))
    assert torch.equal(resumed.L_B1HW, from_start[3].L_B1HW)
    assert torch.equal(resumed.ab_B2HW, from_start[3].ab_B2HW)
    assert not torch.equal(from_start[3].L_B1HW, from_start[4].L_B1HW)
    other_worker = next(ahead(photos, config, 2, (7, 1), 3))
    assert not torch.equal(other_worker.L_B1HW, resumed.L_B1HW)


def test_a_full_cache_changes_nothing() -> None:
    config = DataConfig(crop=64)
    rows = table({"a": 6})
    batches = []
    for cache in (0, 30_000, 10**9):
        photos = Photos.of(rows, "train", (), config.model_copy(update={"cache": cache}))
        batches.append([training_batch(photos, config, 8, (0, step)).L_B1HW for step in range(2)])
        assert sum(pixels.nbytes for pixels in photos._decoded.values()) <= cache
    for made in batches[1:]:
        assert all(torch.equal(one, other) for one, other in zip(batches[0], made, strict=True))


def test_validation_sees_every_photograph_once() -> None:
    photos = Photos.of(table({"a": 2}, val=5), "val", ("a",), DataConfig(crop=64))
    batches = list(validation_batches(photos, DataConfig(crop=64), 2))
    assert [len(batch.label_B) for batch in batches] == [2, 2, 1]
