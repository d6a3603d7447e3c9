"""Messages between the driver and the processes of its pool. The driver first sends a worker its `Job`;
besides these messages, the worker sends the `ShardResult` of each shard that it has committed."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.errors import FiatColorError
from pipeline.records import Item


@dataclass(frozen=True)
class Order:
    """A shard for a worker, the number of this attempt, and the images that killed workers when run alone."""

    shard_id: str
    items: list[Item]
    attempt: int
    lost: set[str]


@dataclass(frozen=True)
class Ready:
    """The worker has loaded its network and waits for an order."""


@dataclass(frozen=True)
class ImageStarted:
    """The worker starts to run this image alone (`pipeline.shard.attempts.Attempts.touch`)."""

    key: str


@dataclass(frozen=True)
class ImageFinished:
    """That image did not kill the worker (`Attempts.finish`)."""

    key: str


@dataclass(frozen=True)
class Progress:
    """Counts of the images of its shard that are done, and of those that failed (`Attempts.progress`)."""

    done: int
    failed: int


@dataclass(frozen=True)
class RunStopped:
    """The worker ends because of an error that must end the run, too."""

    error: FiatColorError
