"""Training batches through Ray Data: row groups from the store, decoded by all CPUs, in a fixed order.

Every training worker runs a chain of its own over the windows of its `Sampler`, so that what it gets depends
on nothing but the step. Equal to `batches_from_memory` in every bit.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.engine.blocks import blocks_of
from pipeline.engine.limits import tune
from pipeline.storage import ObjectInfo, Store
from pipeline.training.data.batches import Batch, crop_arrays, decode, to_batch
from pipeline.training.data.rows import RowIndex, read_images
from pipeline.training.data.sampling import Sampler
from pipeline.training.sections import DataConfig

STRETCH_WINDOWS = 48
"""Windows of one execution of the chain: setting one up costs about a second, each window memory."""
BLOCK_STEPS = 4
"""Steps in a block between reading and decoding: what one decoding task takes at a time."""
READ_CPUS = 0.25
"""A reading task waits for the store more than it computes. Other CPUs than a decoding task's also keep Ray
from running both as one task, which would decode a whole window on one core."""


@dataclass(frozen=True)
class Shard:
    """What reading tasks need besides the window: where the parts are, and how many crops make a step."""

    store: Store
    parts: tuple[ObjectInfo, ...]
    batch: int


def batches_from_stream(
    index: RowIndex, labels: NDArray[np.int64], sampler: Sampler, config: DataConfig, first: int
) -> Iterator[Batch]:
    """Training batches from step `first` on, for ever. `labels` are the label numbers of the index's rows.

    In memory are the windows being read (encoded), and the batches being made and waiting (`data.tasks`
    blocks and `data.ahead` batches). Raises Ray's errors where a task failed, with ours as their cause.
    """
    places = np.stack([index.column(name) for name in ("part", "group", "row")], axis=1)
    shard = Shard(index.store, index.parts, sampler.batch)
    windows = _windows(sampler, places, labels, first)
    while True:
        yield from _run(list(itertools.islice(windows, STRETCH_WINDOWS)), shard, config)


def _windows(
    sampler: Sampler, places: NDArray[np.int64], labels: NDArray[np.int64], first: int
) -> Iterator[dict[str, Any]]:
    """From step `first` on, for ever: part, group, row in it, label and seed of each crop of a window."""
    while True:
        window = range(first, sampler.window_of(first).stop)
        crops = sampler.crops(window)
        yield {
            "place": places[crops.rows].ravel().tolist(),
            "label": labels[crops.rows].tolist(),
            "seed": crops.seeds.ravel().tolist(),
        }
        first = window.stop


def _run(windows: list[dict[str, Any]], shard: Shard, config: DataConfig) -> Iterator[Batch]:
    """The chain:
    1. windows (numbers) -> one reading task each: encoded images in the order of their crops
    2. cut to BLOCK_STEPS steps -> one decoding task each: tensors of fixed size
    3. batches of one step, some ahead.
    """
    tune(preserve_order=True)
    planned = blocks_of(lambda: (pa.Table.from_pylist([window]) for window in windows))
    read = planned.map_batches(
        read_window, fn_args=(shard,), batch_size=1, batch_format="pyarrow", num_cpus=READ_CPUS, concurrency=2
    )
    # Ray joins what a task yields to blocks of up to 128 MiB, here a whole window: they are cut again.
    batches = read.repartition(target_num_rows_per_block=shard.batch * BLOCK_STEPS).map_batches(
        decode_crops,
        fn_args=(shard.batch, config),
        batch_size=shard.batch * BLOCK_STEPS,
        batch_format="pyarrow",
        num_cpus=1,
        concurrency=config.tasks,
    )
    for arrays in batches.iter_batches(
        batch_size=shard.batch, batch_format="numpy", prefetch_batches=config.ahead
    ):
        yield to_batch(arrays)


def read_window(window: pa.Table, shard: Shard) -> Iterator[pa.Table]:
    """The encoded images of a window in the order of its crops, by BLOCK_STEPS steps."""
    place = np.asarray(window["place"][0].values, dtype=np.int64).reshape(-1, 3)
    keys, images = read_images(shard.store, shard.parts, *place.T)
    seeds = pa.FixedSizeListArray.from_arrays(window["seed"][0].values, 5)
    labels = window["label"][0].values
    table = pa.table({"key": keys, "image": pa.array(images, pa.binary()), "label": labels, "seed": seeds})
    size = shard.batch * BLOCK_STEPS
    for start in range(0, table.num_rows, size):
        yield table.slice(start, size)


def decode_crops(rows: pa.Table, batch: int, config: DataConfig) -> dict[str, Any]:
    """The tensors of `crop_arrays`, for each `batch` rows apart, as they stand in a step."""
    seeds = np.asarray(rows["seed"].combine_chunks().flatten(), dtype=np.int64).reshape(-1, 5)
    labels, keys = np.asarray(rows["label"], dtype=np.int64), rows["key"].to_pylist()
    crops = []
    for start in range(0, rows.num_rows, batch):
        step = slice(start, start + batch)
        photos = [decode(image) for image in rows["image"][step].to_pylist()]
        crops.append(crop_arrays(photos, keys[step], labels[step], seeds[step], config))
    return {name: np.concatenate([arrays[name] for arrays in crops]) for name in crops[0]}
