"""What a plan needs to know about guides: which objects have one, and which objects are one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from pipeline.plan.decisions import ImageCorrection
from pipeline.plan.refusals import Refusal
from pipeline.storage import ObjectInfo


class ItemGuide(NamedTuple):
    """An image's guide as stored in its item: JSON, and a digest of 16 hex digits over its content."""

    json: str
    digest: str


@dataclass(frozen=True)
class Guidance:
    """Guides by source key, the keys of sidecars, and lines for the person who starts the run.

    `corrected`: keys of images whose correction counts, even if it leaves no guide. `warnings`: about
    corrections that do not count. `refused`: by key, why an image must fail because its guide is ambiguous.
    """

    guides: dict[str, ItemGuide] = field(default_factory=dict)
    sidecars: frozenset[str] = frozenset()
    notices: tuple[str, ...] = ()
    corrected: frozenset[str] = frozenset()
    warnings: tuple[str, ...] = ()
    refused: Mapping[str, Refusal] = field(default_factory=dict)


class GuideSource(Protocol):
    """Where guides come from; `pipeline.guides.check.Guides` is one."""

    def watch(self, listed: Iterable[ObjectInfo]) -> Iterator[ObjectInfo]:
        """Passes on all objects of the source, unchanged and in order, and remembers what it needs."""

    def resolve(
        self, kept: Sequence[ObjectInfo], corrections: Mapping[str, Sequence[ImageCorrection]]
    ) -> Guidance:
        """The guides of the objects that the patterns keep, by key; corrections by people take precedence.

        Raises:
            ConfigError: some do not fit.
        """
