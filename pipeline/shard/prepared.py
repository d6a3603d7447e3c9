"""What a worker holds of an item between the stages, and what outlives the worker."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.codecs.everyday import Decoded
from pipeline.ledger.schema import LedgerRow
from pipeline.records import Item


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


@dataclass
class Prepared:
    """One item after fetch and decode: `row` when its fate is sealed, else what the next stages need.

    `decoded` holds full-resolution pixels and never travels between processes; `source` and `model_L` do.
    """

    item: Item
    row: LedgerRow | None = None
    source: bytes = b""
    content_type: str | None = None
    model_L: NDArray[np.float32] | None = None
    ab: NDArray[np.float32] | None = None
    decoded: Decoded | None = None
    further_L: list[NDArray[np.float32]] = field(default_factory=list)  # of the pages after the first
    further_ab: list[NDArray[np.float32]] = field(default_factory=list)
    pictures: dict[str, NDArray[np.float32]] = field(default_factory=dict)  # guides, as methods take them
    scribbles: bytes | None = None  # a PNG, encoded
    color_spread: float = 0.0
    streamed: bool = False  # a master that goes through files: neither `source` nor `decoded` is ever set
    seconds_decode: float = 0.0
    seconds_predict: float = 0.0
