"""What every worker of a run must know."""

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
        picture_sha256: of the picture that its guide names, once that is read.
        note: what its row says of it before all else; None: nothing.
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
    """One run: travels to every worker once. date: the UTC day it began, YYYY-MM-DD; outputs state it.
    model: what weights of others say of themselves; outputs state it, too. threads: cores of each worker.
    has_finished: some of its images need a second file alone, perhaps all: a worker then loads the network
    when it has an image to colour, not before. after: the latest time of a row that the ledger had before the
    run, microseconds since 1970."""

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
        """Now, for a row of this run; later than all rows from before the run, whatever the clock says.

        What was put last stands at its place, and the ledger tells it by its time. A clock that was set back,
        or another machine's that is ahead, would let an older row stand, and `prune` remove what is newer.
        """
        return max(datetime.now(UTC), _EPOCH + timedelta(microseconds=self.after + 1))

    def source_image(self, item: Item) -> SourceImage:
        """The item with its guide parsed; the job's own method colours it unless the guide names another."""
        guide = Guide.from_json(item.guide) if item.guide is not None else Guide()
        if guide.method is None or guide.weights is None:
            return SourceImage(item, guide, self.config.model.method, self.weights_digest)
        return SourceImage(item, guide, guide.method, guide.weights)
