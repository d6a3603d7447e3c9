"""Which photographs an epoch has, in which order, for which worker: numbers only, no images and no state.

An epoch has as many crops as there are training photographs. A photograph of weight w (mean 1) appears
floor(w) or ceil(w) times. Row groups come in random order, so that a worker reads its share of them and no
other, and crops are shuffled within windows of several row groups; from memory, a window is the whole epoch.
All of it follows from (seed, epoch, worker), so a run resumes at any step by computing that step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

_ORDER, _WINDOWS, _CROP = range(3)
"""Separate random streams: of an epoch's order, of a worker's windows, of one crop."""


def row_weights(sources: Sequence[str], exponent: float, factors: Mapping[str, float]) -> F64:
    """Weights of mean 1 by row: a source of n rows weighs n**exponent times its factor (default 1).

    Raises ConfigError where a factor is of a source that no row has, or all weights are 0.
    """
    counts = Counter(sources)
    unknown = sorted(set(factors) - set(counts))
    if unknown:
        raise ConfigError(f"data.source_weights names {unknown[0]!r}, which no photograph has as source")
    raw = np.array([counts[source] ** (exponent - 1) * factors.get(source, 1.0) for source in sources])
    if not raw.sum() > 0:
        raise ConfigError("data.source_weights leaves no source with a weight above 0")
    return np.asarray(raw * (len(raw) / raw.sum()), dtype=np.float64)


def copies(weights: F64, rng: np.random.Generator) -> I64:
    """floor or ceil of each weight, at random with its mean, and in sum the sum of all (rounded).

    Systematic sampling (Madow 1949) over a random order of the rows.
    """
    order = rng.permutation(len(weights))
    edges = np.floor(np.cumsum(weights[order]) + rng.random()).astype(np.int64)
    counted = np.empty(len(weights), dtype=np.int64)
    counted[order] = np.diff(edges, prepend=0)
    return counted


@dataclass(frozen=True)
class Crops:
    """One worker's crops of some steps in order: row numbers, and the seed of each crop's random numbers."""

    rows: I64
    seeds: I64
    """int64[N,5]: run's seed, stream, epoch, worker, position in the worker's epoch."""


@dataclass
class Sampler:
    """One worker's crops. `groups` numbers the row group of each row; `batch` crops make a step.

    `window` crops (rounded to steps) are shuffled among each other.
    """

    weights: F64
    groups: I64
    seed: int
    batch: int
    worker: int = 0
    workers: int = 1
    window: int = 2000
    _epochs: dict[int, I64] = field(default_factory=dict)

    @property
    def epoch_steps(self) -> int:
        """Steps of an epoch, the same for every worker: crops that do not fill a last step are left out.

        At least 1: fewer photographs than that are repeated.
        """
        return max(1, len(self.weights) // (self.workers * self.batch))

    @property
    def window_steps(self) -> int:
        return max(1, round(self.window / self.batch))

    def window_of(self, step: int) -> range:
        """The steps of the window that `step` lies in: what is read together."""
        start = step // self.epoch_steps * self.epoch_steps
        first = start + (step - start) // self.window_steps * self.window_steps
        return range(first, min(first + self.window_steps, start + self.epoch_steps))

    def crops(self, steps: range) -> Crops:
        """The crops of `steps`, which lie in one epoch."""
        epoch, first = divmod(steps.start, self.epoch_steps)
        if steps.stop > (epoch + 1) * self.epoch_steps:
            raise ValueError(f"{steps} reaches over the end of epoch {epoch}")
        places = np.arange(first * self.batch, (first + len(steps)) * self.batch)
        seeds = np.empty((len(places), 5), dtype=np.int64)
        seeds[:, :4] = self.seed, _CROP, epoch, self.worker
        seeds[:, 4] = places
        return Crops(self._epoch(epoch)[places], seeds)

    def _epoch(self, epoch: int) -> I64:
        """The worker's rows of an epoch, in order; the last epoch is cached."""
        if epoch not in self._epochs:
            self._epochs.clear()
            self._epochs[epoch] = self._windows(self._share(epoch), epoch)
        return self._epochs[epoch]

    def _share(self, epoch: int) -> I64:
        """Rows of this worker's contiguous piece of the epoch, ordered by row group."""
        rng = np.random.default_rng((self.seed, _ORDER, epoch))
        counted = copies(self.weights, rng)
        place_of_group = rng.permutation(int(self.groups.max()) + 1)
        order = np.argsort(place_of_group[self.groups], kind="stable")
        all_rows = np.repeat(order, counted[order])
        size = self.epoch_steps * self.batch
        # A remainder of the steps is left out at the end, so in every epoch of other row groups.
        return np.resize(all_rows, self.workers * size)[self.worker * size :][:size]

    def _windows(self, rows: I64, epoch: int) -> I64:
        rng = np.random.default_rng((self.seed, _WINDOWS, epoch, self.worker))
        size = self.window_steps * self.batch
        return np.concatenate(
            [rng.permutation(rows[start : start + size]) for start in range(0, len(rows), size)]
        )
