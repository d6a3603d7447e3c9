"""What the driver and the processes of its pool say to each other. A worker is first sent its `Job`; beside
these messages it sends the `ShardResult` of each shard that it has committed."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.errors import FiatColorError
from pipeline.records import Item


@dataclass(frozen=True)
class Order:
    """A shard for a worker: its try at it has this number, and alone these images have killed workers."""

    shard_id: str
    items: list[Item]
    attempt: int
    lost: set[str]


@dataclass(frozen=True)
class Ready:
    """The worker has loaded its network and waits for an order."""


@dataclass(frozen=True)
class Touched:
    """It works on this image of its shard alone (`pipeline.shard.attempts.Attempts.touch`)."""

    key: str


@dataclass(frozen=True)
class Harmless:
    """That image did it no harm (`Attempts.finish`)."""

    key: str


@dataclass(frozen=True)
class Progress:
    """So many images of its shard are done, so many of them failed (`Attempts.progress`)."""

    done: int
    failed: int


@dataclass(frozen=True)
class Stopped:
    """The worker ends, and the run must, too."""

    error: FiatColorError
