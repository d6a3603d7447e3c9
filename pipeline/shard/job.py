"""What every worker of a run must know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from pipeline.config.job import JobConfig
from pipeline.guides.guide import Guide
from pipeline.records import Item


class MadeWith(NamedTuple):
    """The method of an image and the SHA-256 of its weights."""

    method: str
    weights: str


@dataclass(frozen=True)
class Job:
    """One run: travels to every worker once. date: the UTC day it began, YYYY-MM-DD; outputs state it."""

    config: JobConfig
    input: str
    output: str
    run_id: str
    job_digest: str
    weights_digest: str
    date: str | None = None

    def made_with(self, item: Item) -> MadeWith:
        """The job's own method, unless the image's guide names another."""
        guide = Guide.from_json(item.guide) if item.guide is not None else None
        if guide is None or guide.method is None or guide.weights is None:
            return MadeWith(self.config.model.method, self.weights_digest)
        return MadeWith(guide.method, guide.weights)
