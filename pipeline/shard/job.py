"""The data that every worker of a run needs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pipeline.config.job import JobConfig
from pipeline.guides.guide import Guide
from pipeline.records import Item, ModelCard

_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True)
class SourceImage:
    """One source object of a shard, with its guide parsed and the method that colours it.

    Attributes:
        item: its row of the plan.
        guide: an empty one where the plan has none.
        method: the registry name of the method.
        weights_digest: SHA-256 of the method's weights, 64 hex digits.
        picture_sha256: SHA-256 of the picture that its guide names, once it is read.
        note: a text to put first in its row's message; None: nothing.
    """

    item: Item
    guide: Guide
    method: str
    weights_digest: str
    picture_sha256: str | None = None
    note: str | None = None

    @property
    def output_key(self) -> str:
        """Key of the colour image below the output; empty for an object that failed in planning."""
        return self.item.output_key or ""


@dataclass(frozen=True)
class Job:
    """One run; sent to every worker once. date: the UTC day on which it began, YYYY-MM-DD, stated in outputs.
    model: what weights of others say of themselves; outputs state it, too. threads: cores of each worker.
    has_finished: some images, perhaps all, need only a second file; a worker then loads the network only when
    it has an image to colour. after: the latest time of a row that the ledger had before the run,
    microseconds since 1970."""

    config: JobConfig
    input: str
    output: str
    run_id: str
    job_digest: str
    weights_digest: str
    date: str | None = None
    model: ModelCard | None = None
    threads: int = 1
    has_finished: bool = False
    after: int = 0

    def time_of_row(self) -> datetime:
        """The time for a row of this run: now, but always later than all rows from before the run.

        The file written last is the one that exists, and the ledger identifies it by time. With a clock that
        was set back, or one on another machine that is ahead, an older row would count, and `prune` would
        remove the newer file.
        """
        return max(datetime.now(UTC), _EPOCH + timedelta(microseconds=self.after + 1))

    def source_image(self, item: Item) -> SourceImage:
        """The item with its guide parsed; the job's method colours it unless the guide names another."""
        guide = Guide.from_json(item.guide) if item.guide is not None else Guide()
        if guide.method is None or guide.weights is None:
            return SourceImage(item, guide, self.config.model.method, self.weights_digest)
        return SourceImage(item, guide, guide.method, guide.weights)
