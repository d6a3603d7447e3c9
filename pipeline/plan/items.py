"""The items of a plan as columns; an `Item` is created when its shard is needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.config.output import OutputConfig
from pipeline.plan.guide_types import ItemGuide
from pipeline.plan.objects import Objects
from pipeline.plan.outputs import output_key
from pipeline.plan.refusals import Refusal
from pipeline.records import Item


@dataclass(frozen=True)
class ItemTable:
    """The `pipeline.plan.shards.Items` of these objects.

    todo: indices of the objects to do, ascending. attempts: how often each of these was tried. refusals,
    guides: by index of the object. finished: by index, the ledger part with its finished image.
    """

    objects: Objects
    todo: NDArray[np.int64]
    attempts: NDArray[np.int32]
    output: OutputConfig
    refusals: Mapping[int, Refusal]
    guides: Mapping[int, ItemGuide]
    finished: Mapping[int, str] = field(default_factory=dict)

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        return self.objects.sizes[self.todo]

    def take(self, indices: NDArray[np.int64]) -> list[Item]:
        of_objects, objects = self.todo[indices], self.objects
        columns = (
            of_objects.tolist(),
            objects.keys.take(of_objects),
            objects.etags.take(of_objects),
            objects.sizes[of_objects].tolist(),
            self.attempts[indices].tolist(),
        )
        return [self._item(*row) for row in zip(*columns, strict=True)]

    def _item(self, index: int, key: str, etag: str, size: int, attempts: int) -> Item:
        refusal, (json, digest) = self.refusals.get(index), self.guides.get(index) or (None, None)
        if refusal:
            return Item(key, etag, size, attempts, None, refusal.code, refusal.message, json, digest)
        result, finished = output_key(key, self.output), self.finished.get(index)
        return Item(key, etag, size, attempts, result, None, None, json, digest, finished)
