"""What is remembered about a shard when its worker dies."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Attempt(NamedTuple):
    """A worker's attempt at a shard: when it took it (its clock, seconds since the epoch), and its number."""

    started_at: float
    number: int


class Attempts(Protocol):
    """Remembers across worker crashes how often a shard was started and which images killed a worker."""

    def begin(self, shard_id: str) -> int:
        """Count one more attempt; return the number including this one."""

    def touch(self, shard_id: str, key: str) -> None:
        """Note that only this image is being processed now: if the worker dies, this image is to blame."""

    def lost(self, shard_id: str) -> set[str]:
        """Keys of images that killed a worker while processed alone."""

    def finish(self, shard_id: str, key: str) -> None:
        """Note that this image did not kill the worker."""

    def progress(self, shard_id: str, done: int, failed: int) -> None:
        """Report how many of the shard's images are done, and how many of those failed."""
