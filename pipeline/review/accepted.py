"""The results that people accepted, as they stand: what they are good enough to learn from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pipeline.records import GRAY
from pipeline.review.cards import read_cards
from pipeline.review.decisions import read_decisions, standing
from pipeline.storage import Store


class Accepted(NamedTuple):
    """A result below OUT and its SHA-256 by the ledger."""

    key: str
    sha256: str


def accepted_results(out: Store) -> Iterator[Accepted]:
    """Those whose acceptance stands, corrected before or not, in the order of source keys.

    An acceptance is of the result that was looked at: it counts for no other one. What is kept gray has no
    colours to learn, and what is rejected, only corrected or not decided about is left out.

    Raises:
        ConfigError: there is no ledger. StorageError: it or a decision cannot be read.
    """
    decided = standing(read_decisions(out))
    for card in read_cards(out).to_pylist():
        decision = decided.get(card["key"])
        if decision is None or decision.verdict != "accept" or decision.etag != card["etag"]:
            continue
        if card["output_key"] and card["method"] != GRAY and decision.output_sha256 == card["output_sha256"]:
            yield Accepted(card["output_key"], card["output_sha256"])
