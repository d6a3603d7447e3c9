"""What is remembered of a shard when its worker dies."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Attempt(NamedTuple):
    """A worker's try at a shard: when it took it (its clock, seconds since the epoch), and its number."""

    started_at: float
    number: int


class Attempts(Protocol):
    """Remembers across crashes of workers how often a shard was begun and which images went down with one."""

    def begin(self, shard_id: str) -> int:
        """Count one more attempt; the number including this one."""

    def touch(self, shard_id: str, key: str) -> None:
        """This image is worked on alone now: if the worker dies, it is the culprit."""

    def lost(self, shard_id: str) -> set[str]:
        """Keys during whose lone work a worker died."""

    def finish(self, shard_id: str, key: str) -> None:
        """This image did no harm."""

    def progress(self, shard_id: str, done: int, failed: int) -> None:
        """So many of the shard's images are done, so many of them failed; for people who wait."""
