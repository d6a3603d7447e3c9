"""Select listed objects by keys and patterns, and find keys and patterns that match nothing."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator

from pipeline.cli.counts import counted
from pipeline.config.job import PlanConfig
from pipeline.plan.patterns import Patterns
from pipeline.storage import ObjectInfo

#: How many keys are compared with an unmatched one to find the nearest.
_SAMPLE = 2000
#: Suffixes of photographs; patterns may leave out other objects without a warning.
IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".tif", ".tiff", ".png", ".jp2", ".webp", ".heic", ".heif", ".avif", ".bmp", ".gif"
)  # fmt: skip


class Choice:
    """Selects the chosen objects of a listing, and counts the rest.

    `excluded`: number of chosen objects that the patterns leave out.
    """

    def __init__(self, config: PlanConfig, chosen: frozenset[str] | None) -> None:
        """`chosen`: the only keys to keep; None: all."""
        self._patterns, self._chosen = Patterns(config.include, config.exclude), chosen
        self._missing = set(chosen or ())
        self._sample: list[str] = []
        self._listed = self._images_out = self._images_kept = 0
        self.excluded = 0

    def keep(self, listed: Iterable[ObjectInfo]) -> Iterator[ObjectInfo]:
        """The objects that are chosen, in the order of the listing."""
        return (info for info in listed if self._keeps(info.key))

    def _keeps(self, key: str) -> bool:
        self._listed += 1
        if len(self._sample) < _SAMPLE:
            self._sample.append(key)
        if self._chosen is not None and key not in self._chosen:
            return False
        self._missing.discard(key)
        self._patterns.watch(key)
        kept, image = self._patterns.keep(key), key.lower().endswith(IMAGE_SUFFIXES)
        self._images_kept += image and kept
        self._images_out += image and not kept
        self.excluded += not kept
        return kept

    def warnings(self) -> Iterator[str]:
        """Warnings about patterns and keys that matched nothing, and patterns that leave out everything.

        No warnings for an empty listing, which is a different mistake.
        """
        if not self._listed:
            return
        for name, pattern in self._patterns.unmatched:
            yield (
                f"plan.{name} has the pattern {pattern!r}, which matches none of "
                f"{counted(self._listed, 'file')}{self._nearest(pattern)}"
            )
        if self._missing:
            first = min(self._missing)
            count = f"{counted(len(self._missing), 'key')} of {len(self._chosen or ()):,}"
            yield f"{count} to colour are not in the input, such as {first!r}{self._nearest(first)}"
        if self._images_out and not self._images_kept:
            yield f"the patterns leave out every image of the input ({self._images_out:,})"

    def _nearest(self, wanted: str) -> str:
        """The most similar key; one that differs only in letter case takes precedence."""
        ignoring_case = Patterns([wanted.lower()], [])
        same = (key for key in self._sample if ignoring_case.keep(key.lower()))
        near = next(same, None) or next(iter(difflib.get_close_matches(wanted, self._sample, 1, 0.3)), None)
        return f"; the nearest is {near!r}" if near else ""
