"""What a plan asks of the guides: which objects have one, and which objects are one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from pipeline.storage import ObjectInfo


class Guided(NamedTuple):
    """An image's guide as its item carries it: JSON, and a digest of 16 hex digits over what it says."""

    json: str
    digest: str


@dataclass(frozen=True)
class Guidance:
    """Guides by source key, the keys of sidecars, and lines for the person who starts the run."""

    guides: dict[str, Guided] = field(default_factory=dict)
    sidecars: frozenset[str] = frozenset()
    said: tuple[str, ...] = ()


class GuideBook(Protocol):
    """Where guides come from; `pipeline.guides` has it."""

    def watch(self, listed: Iterable[ObjectInfo]) -> Iterator[ObjectInfo]:
        """The same objects, all that are in the source, seen in passing."""

    def resolve(self, kept: Sequence[ObjectInfo]) -> Guidance:
        """The guides of the objects that the patterns keep, by key.

        Raises:
            ConfigError: some do not fit.
        """
