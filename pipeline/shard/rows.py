"""Make a run's ledger rows: the outcome of each source object, in the columns of `pipeline.ledger.schema`."""

from __future__ import annotations

from typing import Any, Protocol

from pipeline.codecs.in_memory import Skip
from pipeline.config.job import PICTURES
from pipeline.errors import (
    AccessDenied,
    BadKey,
    FailureCode,
    FiatColorError,
    ImageFailure,
    ObjectArchived,
    ObjectChanged,
    ObjectDamaged,
    ObjectMissing,
)
from pipeline.ledger.schema import LedgerRow
from pipeline.records import GRAY, Status
from pipeline.shard.job import Job, SourceImage
from pipeline.shard.masters import SourceUnreadable
from pipeline.shard.stages import PredictedImage

UNREADABLE = (ObjectMissing, ObjectChanged, ObjectDamaged, AccessDenied)
"""Errors of a source object that cannot be fetched; each gives a row."""


class Pixels(Protocol):
    """Size upright and mode of a source, as `Decoded` and `WrittenMaster` have them."""

    @property
    def width(self) -> int: ...

    @property
    def height(self) -> int: ...

    @property
    def mode(self) -> str: ...


class Result(Protocol):
    """What the ledger keeps of a colour image: `EncodedResult` and `WrittenMaster` have it."""

    @property
    def max_delta_l(self) -> float: ...

    @property
    def mean_chroma(self) -> float: ...

    @property
    def colorfulness(self) -> float: ...

    @property
    def note(self) -> str | None: ...

    @property
    def metadata_changes(self) -> tuple[str, ...]: ...

    @property
    def real_color_share(self) -> float | None: ...


class Rows:
    """Makes the rows of one job."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def row(self, image: SourceImage, status: Status, **columns: object) -> LedgerRow:
        """A row of this run for the object."""
        item = image.item
        return LedgerRow(
            key=item.key,
            etag=item.etag,
            bytes=item.bytes,
            status=status,
            attempts=item.attempts + 1,
            guide_digest=item.guide_digest,
            method=image.method,
            weights_digest=image.weights_digest,
            job_digest=self.job.job_digest,
            run_id=self.job.run_id,
            input=self.job.input,
            finished_at=self.job.time_of_row(),
            **columns,  # type: ignore[arg-type]
        )

    def failed(self, image: SourceImage, code: str, message: str, **columns: object) -> LedgerRow:
        """Of an image that has no result."""
        return self.row(image, Status.FAILED, failure_code=str(code), message=message, **columns)

    def skipped(
        self, image: SourceImage, skip: Skip, message: str | None = None, **columns: object
    ) -> LedgerRow:
        """The row of a skipped object; `message` replaces the object's own."""
        columns |= {"width": skip.width, "height": skip.height, "mode": skip.mode}
        columns |= self._color(skip.color_spread, skip.pages)
        return self.row(image, skip.status, message=message or skip.message, **columns)

    def colorized(
        self, predicted: PredictedImage[Any], pixels: Pixels, result: Result, pages: int, **columns: object
    ) -> LedgerRow:
        """Of a colour image."""
        image, spread, doubt = predicted.image, predicted.color_spread, predicted.doubt
        if doubt is not None and image.method != GRAY:  # gray on request: nothing to doubt
            guided = bool(image.guide.kinds) or any(getattr(self.job.config.model, kind) for kind in PICTURES)
            columns |= doubt.columns(result.mean_chroma, guided=guided)
        return self.row(
            image,
            Status.COLORIZED,
            message="; ".join(filter(None, [image.note, result.note])) or None,
            width=pixels.width,
            height=pixels.height,
            mode=pixels.mode,
            max_delta_l=result.max_delta_l,
            mean_chroma=result.mean_chroma,
            colorfulness=result.colorfulness,
            metadata_changes=list(result.metadata_changes),
            real_color_share=None if self._is_color(spread) else result.real_color_share,
            **self._color(spread, pages),
            seconds_decode=predicted.seconds_decode,
            seconds_predict=predicted.seconds_predict,
            **columns,
        )

    def of_error(self, image: SourceImage, error: Exception) -> LedgerRow:
        """The row for an error of one image. Raises the error if it concerns all images."""
        match error:
            case ImageFailure():
                return self.failed(image, error.code, error.message)
            case BadKey():
                return self.failed(image, FailureCode.BAD_KEY, str(error))
            case SourceUnreadable():
                return self.unreadable(image, error.reason)
            case FiatColorError():
                raise error
            case MemoryError():
                words = "no memory to compose the image; lower limits.pixels"
                return self.failed(image, FailureCode.OUT_OF_MEMORY, words)
        # a bug of ours that one image triggers must not affect the others
        message = " ".join(f"{type(error).__name__}: {error}".split())
        return self.failed(image, FailureCode.INTERNAL_ERROR, message[:500])

    def unreadable(self, image: SourceImage, error: Exception) -> LedgerRow:
        """Of a source that cannot be fetched, for one of the reasons in `UNREADABLE`."""
        if isinstance(error, ObjectArchived):
            return self.row(image, Status.ARCHIVED, message=f"{error}; the next run after that colours it")
        if isinstance(error, ObjectMissing):
            return self.failed(image, FailureCode.SOURCE_MISSING, "deleted since planning")
        if isinstance(error, ObjectChanged):
            return self.failed(image, FailureCode.SOURCE_CHANGED, "changed since planning; run again")
        damaged = isinstance(error, ObjectDamaged)
        return self.failed(
            image, FailureCode.SOURCE_DAMAGED if damaged else FailureCode.SOURCE_DENIED, str(error)
        )

    def _is_color(self, spread: float) -> bool:
        return spread > self.job.config.model.color_threshold

    def _color(self, spread: float | None, pages: int | None) -> dict[str, object]:
        """The columns on pages and on what was measured to tell real colour from toning, where it was."""
        threshold = None if spread is None else self.job.config.model.color_threshold
        return {"pages": pages, "color_spread": spread, "color_threshold": threshold}
