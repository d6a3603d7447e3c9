"""The index of a training worker's photographs, and the batches made from them."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from pipeline.config.storage import StorageConfig
from pipeline.errors import ConfigError
from pipeline.models.ab_bins import BINS, histogram
from pipeline.training.data.batches import Batch, decode
from pipeline.training.data.crops import lab_crop
from pipeline.training.data.memory import Photos, batches_from_memory
from pipeline.training.data.rows import RowIndex, read_images, read_index
from pipeline.training.data.sampling import Sampler, row_weights
from pipeline.training.data.stream import batches_from_stream
from pipeline.training.sections import DataConfig

PRIOR_GROUPS, PRIOR_ROWS = 64, 32
"""Row groups, and rows of each, on which the prior over ab bins is measured."""


@dataclass(frozen=True)
class Dataset:
    """The rows of both splits (`val` None where nothing is kept for validation); the labels to classify."""

    train: RowIndex
    val: RowIndex | None
    labels: tuple[str, ...]
    sources: dict[str, int]

    @classmethod
    def open(cls, config: DataConfig, storage: StorageConfig) -> Dataset:
        """Read all columns but the images. Raises ConfigError where these are no training rows, no row is to
        train on or is as large as one of `crops`, or `source_weights` or `hold_out` names no source."""
        index = read_index(config.photos, storage).held_out(config.hold_out)
        train = index.of_split("train")
        for side in config.sides:
            _weights(train, config, side)
        has_val = pa.compute.any(pa.compute.equal(index.table["split"], "val")).as_py()
        return cls(
            train,
            index.of_split("val") if has_val else None,
            known_labels(train.table, config),
            dict(Counter(index.table["source"].to_pylist())),
        )

    def mean_ab(self) -> tuple[float, float]:
        """Mean a* and b* over the training photographs: the constant tint that a model must beat."""
        a, b = (round(float(np.mean(self.train.table[name])), 4) for name in ("mean_a", "mean_b"))
        return a, b

    def label_numbers(self, index: RowIndex) -> NDArray[np.int64]:
        """The place of each row's label among `labels`, -1 where it is none of them."""
        number = {label: i for i, label in enumerate(self.labels)}
        return np.array([number.get(label, -1) for label in index.table["label"].to_pylist()], dtype=np.int64)

    def sampler(self, config: DataConfig, seed: int, batch: int, worker: int, workers: int) -> Sampler:
        """Which photographs this worker gets at which step.

        From memory any photograph may follow upon any other. Streamed, `data.window` crops of row groups at
        random are shuffled among each other: rows should lie in random order, as `prepare_photos` has them.
        """
        weights = _weights(self.train, config, config.sides[0])
        if streams(self, config):
            return Sampler(weights, self.train.group_numbers(), seed, batch, worker, workers, config.window)
        return Sampler(weights, np.arange(len(weights)), seed, batch, worker, workers, window=len(weights))

    def batches(self, sampler: Sampler, config: DataConfig, first: int) -> Iterator[Batch]:
        """Training batches from step `first` on, without an end: streamed or from memory, see `streams`. All
        workers are at the same of `config.sides` at the same step, so that none waits for another."""
        labels = self.label_numbers(self.train)
        photos = None
        if not streams(self, config):
            photos = Photos.of(self.train, labels, config.cache // sampler.workers)
        by_side = {}
        for side, steps in steps_by_side(config.sides, first).items():
            of_side = config.model_copy(update={"crop": side, "crops": ()})
            chosen = self._sampler_of_side(sampler, config, side)
            by_side[side] = (
                batches_from_stream(self.train, labels, chosen, of_side, steps)
                if photos is None
                else batches_from_memory(photos, chosen, of_side, steps)
            )
        return by_turns(by_side, config.sides, first)

    def _sampler_of_side(self, sampler: Sampler, config: DataConfig, side: int) -> Sampler:
        if side == config.sides[0]:
            return sampler
        weights = _weights(self.train, config, side)
        return replace(sampler, weights=weights, seed=sampler.seed + (side << 32), _epochs={})

    def validation(self, config: DataConfig) -> Photos | None:
        """The photographs kept for validation, in memory."""
        return None if self.val is None else Photos.of(self.val, self.label_numbers(self.val), config.cache)

    def ab_prior(self) -> NDArray[np.float32]:
        """Shares of the ab bins among the pixels of the training photographs, float32[313], sum 1.

        Measured on thumbnails of 32 pixels of evenly spaced rows of evenly spaced row groups: about 2,000
        photographs that cost few reads. Raises ConfigError where none of them can be decoded.
        """
        chosen = _evenly(np.unique(self.train.group_numbers()), PRIOR_GROUPS)
        rows = [_evenly(np.flatnonzero(self.train.group_numbers() == group), PRIOR_ROWS) for group in chosen]
        place = [self.train.column(name)[np.concatenate(rows)] for name in ("part", "group", "row")]
        counts = np.zeros(BINS)
        for image in read_images(self.train.store, self.train.parts, *place)[1]:
            pixels = decode(image)
            if pixels is not None:
                small = Image.fromarray(pixels).resize((32, 32), Image.Resampling.BOX)
                counts += histogram(lab_crop(np.asarray(small))[1].reshape(2, -1).T)
        if not counts.sum():
            raise ConfigError(f"no photograph at {self.train.store.uri} can be decoded; prepare them again")
        return np.asarray(counts / counts.sum(), dtype=np.float32)


def _weights(train: RowIndex, config: DataConfig, side: int) -> NDArray[np.float64]:
    """Of the rows, mean 1; with `config.crops`, 0 for photographs whose short side is below `side`: enlarged
    ones are blurred, and the network would learn that large pictures are."""
    weights = row_weights(train.table["source"].to_pylist(), config.source_exponent, config.source_weights)
    if not config.crops:
        return weights
    short = train.short_sides()
    weights = weights * (short >= side)
    if not weights.sum() > 0:
        raise ConfigError(
            f"data.crops has {side}, but the short side of no photograph to train on has as many pixels, the "
            f"largest {short.max()}: leave it out, or prepare photographs with a larger prepare.short_side"
        )
    return np.asarray(weights * (len(weights) / weights.sum()))


def steps_by_side(sides: Sequence[int], step: int) -> dict[int, int]:
    """How many of the steps before `step` had each of `sides`, which come by turns."""
    turns, rest = divmod(step, len(sides))
    return {side: turns * sides.count(side) + sides[:rest].count(side) for side in sides}


def by_turns(batches: Mapping[int, Iterator[Batch]], sides: Sequence[int], first: int) -> Iterator[Batch]:
    """From step `first` on, the next batch of the side whose turn it is."""
    for step in itertools.count(first):
        yield next(batches[sides[step % len(sides)]])


def _evenly(values: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    places = np.unique(np.linspace(0, len(values) - 1, min(most, len(values))).astype(int))
    return np.asarray(values[places])


def known_labels(table: pa.Table, config: DataConfig) -> tuple[str, ...]:
    """The labels to classify, sorted: those of at least `label_images` of the (training) rows."""
    counts = Counter(table["label"].to_pylist())
    usable = {label for label, n in counts.items() if n >= config.label_images}
    return tuple(sorted(usable - {""} - set(config.ignore_labels)))


def streams(dataset: Dataset, config: DataConfig) -> bool:
    """Whether batches come through Ray Data: `data.stream`; if that is null, where memory is too small."""
    return dataset.train.bytes > config.memory if config.stream is None else config.stream
