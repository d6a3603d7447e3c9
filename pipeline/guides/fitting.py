"""Check that the guides stated for an image fit it, and build its guide."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from pipeline.config.job import JobConfig
from pipeline.guides.guide import Guide, GuideObject
from pipeline.guides.methods import Methods
from pipeline.guides.objects import ObjectHead, Sizes, misfit, outside
from pipeline.guides.stated import UncheckedGuides


class GuideChecker:
    """Checks guides against the objects and images that were read before."""

    def __init__(
        self,
        config: JobConfig,
        methods: Methods,
        heads: Mapping[tuple[str, str], ObjectHead | str],
        sizes_of: Mapping[str, Sizes],
    ) -> None:
        """
        Args:
            heads: of each object, by the URI of its store and its key; a text: why it cannot be had.
            sizes_of: by source key, of the images whose size matters.
        """
        self._side, self._methods = config.guides.side, methods
        self._heads, self._sizes_of = heads, sizes_of
        self._weights = cache(methods.weights)

    def guide(self, one: UncheckedGuides) -> tuple[Guide, list[str]]:
        """The guide of an image, and its problems, each with the place that states it."""
        sizes = self._sizes_of.get(one.source.key, set())
        problems = [f"{one.where}: {message}" for message in outside(one.points, sizes)]
        objects: dict[str, Any] = dict(self._objects(one, sizes, problems))
        try:
            method = self._methods.choose(one.method, one.given)
        except ValueError as error:
            return Guide(), [*problems, f"{one.where}: {error}"]
        other = method if method != self._methods.job else None
        guide = Guide(
            points=one.points,
            strokes=one.strokes,
            chroma=one.chroma,
            method=other,
            weights=self._weights(other) if other else None,
            side=self._side if "scribbles" in one.given else 0,
            **objects,
        )
        return guide, problems

    def _objects(self, one: UncheckedGuides, sizes: Sizes, problems: list[str]) -> dict[str, GuideObject]:
        guide_objects = {}
        for kind, named in one.objects.items():
            outcome = self._heads[named.store.uri, named.key]
            if isinstance(outcome, str):
                problems.append(f"{named.where}: {kind}: {outcome}")
                continue
            if (message := misfit(kind, named.name, outcome.head, sizes)) is not None:
                problems.append(f"{named.where}: {message}")
            guide_objects[kind] = GuideObject(named.name, named.store.uri, named.key, outcome.etag)
        return guide_objects
