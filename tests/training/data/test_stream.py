"""Batches through Ray Data from a real S3 server: equal to those from memory, at any step, cheap to read."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import ray
import torch

from pipeline.config.storage import StorageConfig
from pipeline.errors import ConfigError
from pipeline.storage import open_store
from pipeline.training.data import stream
from pipeline.training.data.batches import Batch
from pipeline.training.data.dataset import Dataset
from pipeline.training.data.memory import Photos, batches_from_memory, validation_batches
from pipeline.training.data.rows import RowIndex, read_index
from pipeline.training.data.sampling import Sampler, row_weights
from pipeline.training.data.stream import batches_from_stream
from pipeline.training.sections import DataConfig
from tests.support import worker_client
from tests.support.forked_workers import forked_workers
from tests.support.paths import REPO
from tests.support.servers import S3Server
from tests.support.training_data import parts, training_rows, write_parts

CONFIG = DataConfig(crop=64, threads=2, tasks=2)
BROKEN = frozenset({"sea/3", "town/7"})


@pytest.fixture(scope="module")
def local_ray() -> Iterator[None]:
    worker_client.lend()
    ray.init(
        address="local",
        num_cpus=3,
        include_dashboard=False,
        logging_level=logging.ERROR,
        runtime_env={"env_vars": {"PYTHONPATH": str(REPO), **forked_workers()}},
    )
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def index(s3_ceph: S3Server) -> RowIndex:
    """54 training rows in three parts of row groups of six, two of them broken, on Ceph."""
    uri = f"s3://{s3_ceph.bucket()}/photos"
    store = open_store(uri, s3_ceph.storage_config)
    for name, data in parts(training_rows({"sea": 40, "town": 14}, val=2, broken=BROKEN), 20, 6).items():
        store.put(name, data)
    return read_index(uri, s3_ceph.storage_config)


def made(index: RowIndex, worker: int = 0) -> tuple[RowIndex, np.ndarray, Sampler]:
    train = index.of_split("train")
    labels = np.array([["sea", "town"].index(label) for label in train.table["label"].to_pylist()])
    weights = row_weights(train.table["source"].to_pylist(), 0.5, {})
    return train, labels, Sampler(weights, train.group_numbers(), 7, 4, worker, 2, window=9)


def from_memory(index: RowIndex, first: int, worker: int = 0, config: DataConfig = CONFIG) -> Iterator[Batch]:
    train, labels, sampler = made(index, worker)
    return batches_from_memory(Photos.of(train, labels, config.cache), sampler, config, first)


def same(one: Batch, other: Batch) -> bool:
    pairs = ((getattr(one, name), getattr(other, name)) for name in ("L_B1HW", "ab_B2HW", "label_B"))
    return all(torch.equal(a, b) for a, b in pairs) and one.unreadable == other.unreadable


def test_the_index_knows_all_rows_and_reads_no_image(index: RowIndex) -> None:
    assert index.table.num_rows == 58
    assert index.column("part").tolist() == [0] * 20 + [1] * 20 + [2] * 18
    assert index.column("group")[:8].tolist() == [0] * 6 + [1] * 2
    assert index.column("row")[:8].tolist() == [0, 1, 2, 3, 4, 5, 0, 1]
    train = index.of_split("train")
    assert train.table.num_rows == 54
    assert "image" not in train.table.column_names
    assert len(set(train.group_numbers().tolist())) == 11


@pytest.mark.first
@pytest.mark.ray
def test_streamed_batches_are_those_from_memory(
    index: RowIndex, local_ray: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over two epochs and from the middle of a window on; also those with unreadable photographs."""
    monkeypatch.setattr(stream, "STRETCH_WINDOWS", 4)  # so that executions follow upon each other
    for worker, first in ((0, 0), (1, 4)):
        train, labels, sampler = made(index, worker)
        streamed = list(itertools.islice(batches_from_stream(train, labels, sampler, CONFIG, first), 15))
        expected = list(itertools.islice(from_memory(index, first, worker), 15))
        assert all(same(one, other) for one, other in zip(streamed, expected, strict=True))
        assert {key for batch in streamed for key in batch.unreadable} <= BROKEN
        assert any(batch.unreadable for batch in streamed)


@pytest.mark.first
@pytest.mark.ray
def test_sizes_by_turns_are_streamed_as_from_memory(
    tmp_path: Path, local_ray: None, no_storage: StorageConfig
) -> None:
    rows = [training_rows({"low": 12}, size=64), training_rows({"high": 8}, size=96)]
    write_parts(tmp_path, pa.concat_tables(rows))
    batches = []
    for stream_ in (True, False):
        config = CONFIG.model_copy(update={"photos": str(tmp_path), "crops": (64, 96, 64), "stream": stream_})
        config = config.model_copy(update={"window": 10**6})  # an epoch in memory is one window
        data = Dataset.open(config, no_storage)
        sampler = data.sampler(config, seed=5, batch=4, worker=0, workers=1)
        sampler = replace(sampler, groups=data.train.group_numbers())
        batches.append(list(itertools.islice(data.batches(sampler, config, 1), 8)))
    assert all(same(one, other) for one, other in zip(*batches, strict=True))
    assert [batch.L_B1HW.shape[-1] for batch in batches[0]] == [96, 64, 64, 96, 64, 64, 96, 64]


def test_batches_are_what_they_say(index: RowIndex) -> None:
    for batch in itertools.islice(from_memory(index, 0), 6):
        assert batch.L_B1HW.shape == (4, 1, 64, 64)
        assert batch.ab_B2HW.shape == (4, 2, 64, 64)
        assert batch.label_B.dtype == torch.int64
        assert 0 <= float(batch.L_B1HW.min()) < float(batch.L_B1HW.max()) <= 100
        assert float(batch.ab_B2HW.abs().max()) > 10  # Lab units, not [0, 1]
        assert len({crop.numpy().tobytes() for crop in batch.L_B1HW}) == 4


def test_a_step_is_the_same_in_every_run(index: RowIndex) -> None:
    from_start = list(itertools.islice(from_memory(index, 0), 9))
    resumed = next(from_memory(index, 8))
    assert same(resumed, from_start[8])
    assert not same(from_start[7], from_start[8])
    assert not same(next(from_memory(index, 8, worker=1)), resumed)
    for cache in (0, 30_000):  # a full cache changes nothing
        limited = CONFIG.model_copy(update={"cache": cache})
        assert same(next(from_memory(index, 8, config=limited)), resumed)


def test_validation_sees_every_readable_photograph_once(index: RowIndex) -> None:
    val = index.of_split("val")
    photos = Photos.of(val, np.arange(4), 0)
    batches = list(validation_batches(photos, CONFIG, 3))
    assert [batch.label_B.tolist() for batch in batches] == [[0, 1, 2], [3]]
    photos.images[3] = b"no image"
    assert [b.label_B.tolist() for b in validation_batches(photos, CONFIG, 3)] == [[0, 1, 2]]


def test_only_unreadable_photographs_end_with_one_line(tmp_path: Path, no_storage: StorageConfig) -> None:
    write_parts(tmp_path, training_rows({"sea": 4}, broken=frozenset(f"sea/{i}" for i in range(4))))
    with pytest.raises(ConfigError, match=r"none of 4 training images can be decoded, from sea/"):
        next(from_memory(read_index(str(tmp_path), no_storage), 0))


def test_wrong_columns_are_named(tmp_path: Path, no_storage: StorageConfig) -> None:
    rows = training_rows({"sea": 4})
    write_parts(tmp_path, rows.drop(["mean_a"]))
    with pytest.raises(ConfigError, match=r"photos-00000.parquet has no column 'mean_a' \(it has key, "):
        read_index(str(tmp_path), no_storage)
    write_parts(
        tmp_path, rows.set_column(rows.schema.get_field_index("image"), "image", pa.array(["text"] * 4))
    )
    with pytest.raises(ConfigError, match="has the column 'image' as string, not binary"):
        read_index(str(tmp_path), no_storage)
    (tmp_path / "photos-00000.parquet").write_bytes(b"PAR1 and nothing")
    with pytest.raises(ConfigError, match="is not a Parquet file"):
        read_index(str(tmp_path), no_storage)
    write_parts(tmp_path, rows)
    with pytest.raises(ConfigError, match="no photographs of the split 'val'"):
        read_index(str(tmp_path), no_storage).of_split("val")
