"""Which of the listed objects keys and patterns choose, and which of them choose nothing."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator

from pipeline.cli.counts import counted
from pipeline.config.job import PlanConfig
from pipeline.plan.patterns import Patterns
from pipeline.storage import ObjectInfo

#: So many keys are compared with what matched nothing, for the nearest.
_SAMPLE = 2000
#: What a photograph's name ends in; other objects may be left out without a word.
IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".tif", ".tiff", ".png", ".jp2", ".webp", ".heic", ".heif", ".avif", ".bmp", ".gif"
)  # fmt: skip


class Choice:
    """Keeps of a listing what is chosen, and counts the rest.

    `excluded`: chosen objects that the patterns leave out.
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
        """A line on each pattern and on the keys that matched nothing, and on patterns that leave nothing.

        None of an empty listing, which is another mistake.
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
        """The key that differs least; one that only letter case tells apart goes before all."""
        ignoring_case = Patterns([wanted.lower()], [])
        same = (key for key in self._sample if ignoring_case.keep(key.lower()))
        near = next(same, None) or next(iter(difflib.get_close_matches(wanted, self._sample, 1, 0.3)), None)
        return f"; the nearest is {near!r}" if near else ""
