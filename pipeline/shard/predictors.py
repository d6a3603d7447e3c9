"""The networks of a worker: the job's own, and those that single images ask for."""

from __future__ import annotations

import itertools
from collections import defaultdict

from pipeline.errors import FailureCode
from pipeline.models.registry import load_colorizer
from pipeline.shard.guiding import predicts
from pipeline.shard.job import Job
from pipeline.shard.predict import Predictor
from pipeline.shard.prepared import Prepared
from pipeline.shard.rows import Rows


def open_predictor(job: Job, device: str, method: str | None = None) -> Predictor:
    """The job's network on this device, or the shipped one of another method, ready for batches."""
    model = job.config.model
    own = method in (None, model.method)
    loaded = load_colorizer(
        model.method if own else method,
        model.weights if own else None,
        precision=model.precision,
        device=device,
        storage=job.config.storage,
    )
    return Predictor(
        loaded.colorizer, device=device, batch=model.batch, neutral_borders=model.neutral_borders
    )


class Predictors:
    """Predictors by method; the job's own is loaded at once, another when the first image asks for it."""

    def __init__(self, job: Job, device: str) -> None:
        self.job = job
        self.device = device
        self.rows = Rows(job)
        self._by_method: dict[str, Predictor] = {}
        if predicts(job.config.model.method):
            self.of(job.config.model.method)

    def of(self, method: str) -> Predictor:
        """The predictor of a method."""
        if method not in self._by_method:
            self._by_method[method] = open_predictor(self.job, self.device, method)
        return self._by_method[method]

    def color(self, waiting: list[Prepared]) -> None:
        """Give each image its chroma; to one that has nothing but hints none, for those are spread later.

        An image with a guide that the weights do not take becomes a failed row.
        """
        by_method: dict[str, list[Prepared]] = defaultdict(list)
        for one in waiting:
            method = self.job.made_with(one.item).method
            if predicts(method):
                by_method[method].append(one)
        for method, ones in by_method.items():
            self._color(self.of(method), [one for one in ones if self._takes(method, one)])

    def _takes(self, method: str, one: Prepared) -> bool:
        refused = set(one.pictures) - self.of(method).colorizer.guides
        if refused:
            message = f"these weights of the method {method!r} take no {min(refused)}"
            one.row = self.rows.failed(one.item, FailureCode.GUIDE_INVALID, message)
        return not refused

    @staticmethod
    def _color(predictor: Predictor, ones: list[Prepared]) -> None:
        inputs = [(L, one.pictures) for one in ones for L in (one.model_L, *one.further_L) if L is not None]
        found = iter(predictor([L for L, _ in inputs], [pictures for _, pictures in inputs]))
        for one in ones:
            one.ab, *one.further_ab = itertools.islice(found, 1 + len(one.further_L))
