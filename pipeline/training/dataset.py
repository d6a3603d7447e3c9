"""Training rows in memory, and batches drawn from them: step s of worker r is the same in every run."""

from __future__ import annotations

import io
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pipeline.config import StorageConfig
from pipeline.errors import ConfigError
from pipeline.models.ab_bins import BINS, histogram
from pipeline.storage import Store, open_store
from pipeline.training.config import DataConfig
from pipeline.training.crops import age, lab_crop, random_film

U8 = NDArray[np.uint8]


@dataclass(frozen=True)
class Batch:
    """`L_B1HW` in [0, 100] as the network gets it, `ab_B2HW` in Lab units, `label_B` int64, -1 unknown."""

    L_B1HW: Tensor
    ab_B2HW: Tensor
    label_B: Tensor


def check_rows(uri: str, storage: StorageConfig) -> tuple[Store, list[str]]:
    """The store at `uri` and the keys of its training rows. Raises ConfigError where there are none."""
    store = open_store(uri, storage)
    store.check_readable()
    keys = [info.key for info in store.list("photos-") if info.key.endswith(".parquet")]
    if not keys:
        raise ConfigError(f"{uri} holds no photos-*.parquet; make them with jobs/prepare_photos.py")
    return store, keys


def read_rows(uri: str, storage: StorageConfig) -> pa.Table:
    """All rows that prepare_photos wrote at `uri`. Raises ConfigError where there are none."""
    store, keys = check_rows(uri, storage)
    return pa.concat_tables(pq.read_table(io.BytesIO(store.get(key).data)) for key in keys)


def known_labels(table: pa.Table, config: DataConfig) -> tuple[str, ...]:
    """The labels to classify, sorted: those of at least `label_images` training photographs."""
    in_training = table.filter(pa.compute.equal(table["split"], "train"))
    counts = Counter(in_training["label"].to_pylist())
    usable = {label for label, n in counts.items() if n >= config.label_images}
    return tuple(sorted(usable - {""} - set(config.ignore_labels)))


def mean_ab(table: pa.Table) -> tuple[float, float]:
    """Mean a* and b* over the training photographs: the constant tint that a model must beat."""
    in_training = table.filter(pa.compute.equal(table["split"], "train"))
    return tuple(round(float(np.mean(in_training[name])), 4) for name in ("mean_a", "mean_b"))  # type: ignore


def ab_prior(table: pa.Table, photographs: int = 2000) -> NDArray[np.float32]:
    """Shares of the ab bins among the pixels of the training photographs, float32[313], sum 1.

    Measured on evenly spaced rows of the split "train", at most `photographs`, as thumbnails of 32 pixels.
    """
    rows = table.filter(pa.compute.equal(table["split"], "train"))["image"]
    counts = np.zeros(BINS)
    for number in np.unique(np.linspace(0, len(rows) - 1, min(photographs, len(rows))).astype(int)):
        with Image.open(io.BytesIO(rows[int(number)].as_py())) as opened:
            small = opened.convert("RGB").resize((32, 32), Image.Resampling.BOX)
        counts += histogram(lab_crop(np.asarray(small))[1].reshape(2, -1).T)
    return np.asarray(counts / counts.sum(), dtype=np.float32)


@dataclass
class Photos:
    """One worker's share of a split: encoded images, label indices, chances to be drawn; some decoded."""

    images: list[bytes]
    labels: NDArray[np.int64]
    chances: NDArray[np.float64]
    cache_bytes: int
    _decoded: dict[int, U8] = field(default_factory=dict)
    _cached: int = 0

    @classmethod
    def of(
        cls,
        table: pa.Table,
        split: str,
        labels: tuple[str, ...],
        config: DataConfig,
        part: int = 0,
        parts: int = 1,
    ) -> Photos:
        """Every `parts`-th photograph of `split`, from number `part` on.

        Raises ConfigError where `source_weights` names no source, or nothing is left.
        """
        index = {label: number for number, label in enumerate(labels)}
        rows = table.filter(pa.compute.equal(table["split"], split))
        sources = rows["source"].to_pylist()
        counts = Counter(sources)
        unknown = sorted(set(config.source_weights) - set(table["source"].to_pylist()))
        if unknown:
            raise ConfigError(f"data.source_weights names {unknown[0]!r}, which no photograph has as source")
        if not rows.num_rows:
            raise ConfigError(f"{config.photos} holds no photographs of the split {split!r}")
        chances = np.array(
            [counts[s] ** (config.source_exponent - 1) * config.source_weights.get(s, 1.0) for s in sources]
        )
        mine = slice(part, None, parts)
        return cls(
            rows["image"].to_pylist()[mine],
            np.array([index.get(label, -1) for label in rows["label"].to_pylist()], dtype=np.int64)[mine],
            chances[mine] / chances[mine].sum(),
            config.cache // parts,
        )

    def pixels(self, number: int) -> U8:
        """uint8[H,W,3], kept decoded while the cache has room."""
        if number in self._decoded:
            return self._decoded[number]
        with Image.open(io.BytesIO(self.images[number])) as opened:
            pixels = np.asarray(opened.convert("RGB"))
        if self._cached + pixels.nbytes <= self.cache_bytes:
            self._cached += pixels.nbytes
            self._decoded[number] = pixels
        return pixels


def training_batch(photos: Photos, config: DataConfig, size: int, seed: tuple[int, ...]) -> Batch:
    """`size` random crops, flipped and aged; the same for the same `seed` (run's seed, worker, step)."""
    rng = np.random.default_rng(seed)
    L_B1HW = np.empty((size, 1, config.crop, config.crop), dtype=np.float32)
    ab_B2HW = np.empty((size, 2, config.crop, config.crop), dtype=np.float32)
    numbers = rng.choice(len(photos.images), size, p=photos.chances)
    for place, number in enumerate(numbers):
        rgb8 = _random_crop(photos.pixels(int(number)), config, rng)
        L_HW, ab_B2HW[place] = lab_crop(rgb8, random_film(rng, config.augment))
        L_B1HW[place, 0] = age(L_HW, rng, config.augment)
    return Batch(
        torch.from_numpy(L_B1HW), torch.from_numpy(ab_B2HW), torch.from_numpy(photos.labels[numbers])
    )


def _random_crop(pixels: U8, config: DataConfig, rng: np.random.Generator) -> U8:
    height, width = pixels.shape[:2]
    side = max(1, round(min(height, width) * float(np.sqrt(rng.uniform(*config.scale)))))
    top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
    square = Image.fromarray(pixels[top : top + side, left : left + side])
    crop = np.asarray(square.resize((config.crop, config.crop), Image.Resampling.BICUBIC))
    return np.ascontiguousarray(crop[:, ::-1] if rng.random() < 0.5 else crop)


def validation_batches(photos: Photos, config: DataConfig, size: int) -> Iterator[Batch]:
    """Every photograph once: its middle square, nothing changed."""
    for start in range(0, len(photos.images), size):
        crops = []
        for number in range(start, min(start + size, len(photos.images))):
            pixels = photos.pixels(number)
            side = min(pixels.shape[:2])
            top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
            square = Image.fromarray(pixels[top : top + side, left : left + side])
            crops.append(
                lab_crop(np.asarray(square.resize((config.crop, config.crop), Image.Resampling.BICUBIC)))
            )
        L_B1HW = torch.from_numpy(np.stack([L_HW[None] for L_HW, _ in crops]))
        ab_B2HW = torch.from_numpy(np.stack([ab_2HW for _, ab_2HW in crops]))
        yield Batch(L_B1HW, ab_B2HW, torch.from_numpy(photos.labels[start : start + size]))


def ahead(
    photos: Photos, config: DataConfig, size: int, seed: tuple[int, int], first: int
) -> Iterator[Batch]:
    """Training batches from step `first` on, for ever, made by threads while the network works."""
    waiting: deque[Future[Batch]] = deque()
    pool = ThreadPoolExecutor(config.threads, thread_name_prefix="batches")
    try:
        for step in range(first, 2**62):
            waiting.append(pool.submit(training_batch, photos, config, size, (*seed, step)))
            if len(waiting) > 2 * config.threads:
                yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
