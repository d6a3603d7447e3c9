"""Training batches from encoded images in memory, for collections that fit into it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.training.data.batches import U8, Batch, crop_arrays, decode, middle_batch, to_batch
from pipeline.training.data.rows import RowIndex, read_images
from pipeline.training.data.sampling import Sampler
from pipeline.training.sections import DataConfig


@dataclass
class Photos:
    """Encoded photographs with their label numbers (-1 unknown); up to `cache_bytes` are kept decoded."""

    keys: list[str]
    images: list[bytes]
    labels: NDArray[np.int64]
    cache_bytes: int
    _decoded: dict[int, U8] = field(default_factory=dict)
    _cached: int = 0

    @classmethod
    def of(cls, index: RowIndex, labels: NDArray[np.int64], cache_bytes: int) -> Photos:
        """All rows of the index. Raises StorageError where they cannot be read."""
        place = (index.column("part"), index.column("group"), index.column("row"))
        return cls(*read_images(index.store, index.parts, *place), labels, cache_bytes)

    def pixels(self, number: int) -> U8 | None:
        """uint8[H,W,3], None where the image cannot be decoded."""
        if number in self._decoded:
            return self._decoded[number]
        pixels = decode(self.images[number])
        if pixels is not None and self._cached + pixels.nbytes <= self.cache_bytes:
            self._cached += pixels.nbytes
            self._decoded[number] = pixels
        return pixels


def batches_from_memory(photos: Photos, sampler: Sampler, config: DataConfig, first: int) -> Iterator[Batch]:
    """Training batches from step `first` on, without an end, made by threads while the network works."""

    def make(step: int) -> Batch:
        crops = sampler.crops(range(step, step + 1))
        rows = crops.rows.tolist()
        pixels, keys = [photos.pixels(row) for row in rows], [photos.keys[row] for row in rows]
        return to_batch(crop_arrays(pixels, keys, photos.labels[crops.rows], crops.seeds, config))

    waiting: deque[Future[Batch]] = deque()
    pool = ThreadPoolExecutor(config.threads, thread_name_prefix="batches")
    try:
        for step in range(first, 2**62):
            waiting.append(pool.submit(make, step))
            if len(waiting) > 2 * config.threads:
                yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def validation_batches(photos: Photos, config: DataConfig, size: int) -> Iterator[Batch]:
    """The middle square of every readable photograph once, nothing changed."""
    numbers: list[int] = []
    pixels: list[U8] = []
    for number in range(len(photos.images)):
        decoded = photos.pixels(number)
        if decoded is not None:
            numbers.append(number)
            pixels.append(decoded)
        if numbers and (len(numbers) == size or number + 1 == len(photos.images)):
            yield middle_batch(pixels, photos.labels[numbers], config)
            numbers, pixels = [], []
