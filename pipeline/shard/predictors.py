"""The networks of a worker: the job's own, and others that single images need."""

from __future__ import annotations

import itertools
import time
from collections import defaultdict
from collections.abc import Sequence

from pipeline.errors import FailureCode, ImageFailure
from pipeline.ledger.schema import LedgerRow
from pipeline.models.doubt import find_calibration
from pipeline.models.method_list import SOLVERS, load_colorizer
from pipeline.models.names import location
from pipeline.shard.doubt import joined_doubt
from pipeline.shard.job import Job
from pipeline.shard.open_guides import predicts
from pipeline.shard.predict import Prediction, Predictor
from pipeline.shard.rows import Rows
from pipeline.shard.stages import PredictedImage, PreparedImage, S


def open_predictor(job: Job, device: str, method: str | None = None) -> Predictor:
    """The job's network on this device, or the shipped one of another method, ready for batches."""
    model = job.config.model
    own = method in (None, model.method)
    method, weights = (model.method, model.weights) if own else (method, None)
    loaded = load_colorizer(
        method,
        weights,
        precision=model.precision,
        device=device,
        storage=job.config.storage,
        contract=model.contract if own else None,
        threads=job.threads,
    )
    calibration = None
    if job.config.report.doubt and method not in SOLVERS:
        calibration = find_calibration(location(method, weights), loaded.weights_digest, job.config.storage)
    return Predictor(
        loaded.colorizer,
        device=device,
        batch=model.batch,
        neutral_borders=model.neutral_borders,
        calibration=calibration,
    )


class Predictors:
    """Predictors by method. The job's own is loaded immediately, others when the first image needs them. In a
    job with finished images, the job's own is loaded on demand, too."""

    def __init__(self, job: Job, device: str) -> None:
        self.job = job
        self.device = device
        self.rows = Rows(job)
        self._by_method: dict[str, Predictor] = {}
        if predicts(job.config.model.method) and not job.has_finished:
            self.of(job.config.model.method)

    @property
    def loaded(self) -> tuple[str, ...]:
        """The methods whose networks are in memory."""
        return tuple(self._by_method)

    def of(self, method: str) -> Predictor:
        """The predictor of a method."""
        if method not in self._by_method:
            self._by_method[method] = open_predictor(self.job, self.device, method)
        return self._by_method[method]

    def color(self, waiting: Sequence[PreparedImage[S]]) -> list[PredictedImage[S] | LedgerRow]:
        """Each image with its chroma, in the same order; without chroma if only hints give the colours.

        An image with a guide that the weights do not take becomes a failed row.
        """
        start = time.perf_counter()
        refused: dict[int, LedgerRow] = {}
        guesses: dict[int, tuple[Prediction, ...]] = {}
        by_method: dict[str, list[int]] = defaultdict(list)
        for index, one in enumerate(waiting):
            if not predicts(one.image.method):
                guesses[index] = ()
            elif (row := self._refused(one)) is not None:
                refused[index] = row
            else:
                by_method[one.image.method].append(index)
        for method, indices in by_method.items():
            results = self._colored(method, [waiting[i] for i in indices])
            for index, result in zip(indices, results, strict=True):
                if isinstance(result, LedgerRow):
                    refused[index] = result
                else:
                    guesses[index] = result
        seconds = (time.perf_counter() - start) / max(1, len(waiting))
        return [
            refused[index] if index in refused else self._predicted(one, guesses[index], seconds)
            for index, one in enumerate(waiting)
        ]

    def _predicted(
        self, one: PreparedImage[S], guesses: tuple[Prediction, ...], seconds: float
    ) -> PredictedImage[S]:
        doubt = None
        if self.job.config.report.doubt:
            places = guesses[0].places if guesses else None
            doubt = joined_doubt((guess.judgement for guess in guesses), places)
        return one.predicted(tuple(guess.ab_2hw for guess in guesses), seconds, doubt)

    def _colored(
        self, method: str, ones: Sequence[PreparedImage[S]]
    ) -> list[tuple[Prediction, ...] | LedgerRow]:
        """For each image, the predictions for its pages; if an ONNX graph or a picture fails, the row of the
        failed image."""
        try:
            return list(_guesses(self.of(method), ones))
        except ImageFailure as failure:
            if len(ones) == 1:
                return [self.rows.of_error(ones[0].image, _naming(ones[0], failure))]
        return [result for one in ones for result in self._colored(method, [one])]

    def _refused(self, one: PreparedImage[S]) -> LedgerRow | None:
        method = one.image.method
        unknown = set(one.pictures) - self.of(method).colorizer.guides
        if not unknown:
            return None
        message = f"these weights of the method {method!r} take no {min(unknown)}"
        return self.rows.failed(one.image, FailureCode.GUIDE_INVALID, message)


def _naming(one: PreparedImage[S], failure: ImageFailure) -> ImageFailure:
    """The failure, with the name of the guide picture if that caused it."""
    picture = one.image.guide.picture
    if picture is None or failure.code != FailureCode.GUIDE_INVALID:
        return failure
    return ImageFailure(failure.code, f"its picture {picture.name!r}: {failure.message}")


def _guesses(predictor: Predictor, ones: Sequence[PreparedImage[S]]) -> list[tuple[Prediction, ...]]:
    """For each image the guesses for its pages."""
    inputs = [(L, one.pictures) for one in ones for L in one.L_pages]
    predicted = iter(predictor.guesses([L for L, _ in inputs], [pictures for _, pictures in inputs]))
    return [tuple(itertools.islice(predicted, len(one.L_pages))) for one in ones]
