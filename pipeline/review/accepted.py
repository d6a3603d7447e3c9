"""The results that people accepted and that are still current: good enough to train on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pipeline.records import GRAY
from pipeline.review.cards import read_cards
from pipeline.review.decisions import current_decisions, read_decisions
from pipeline.storage import Store


class AcceptedResult(NamedTuple):
    """A result below OUT, and its SHA-256 from the ledger."""

    key: str
    sha256: str


def accepted_results(out: Store) -> Iterator[AcceptedResult]:
    """Results with a current acceptance, corrected before or not, in the order of source keys.

    An acceptance counts only for the result that the person saw. Images kept gray have no colours to learn
    from and are left out, and so are rejected, only corrected, and undecided ones.

    Raises:
        ConfigError: there is no ledger. StorageError: it or a decision cannot be read.
    """
    decided = current_decisions(read_decisions(out))
    for card in read_cards(out).to_pylist():
        decision = decided.get(card["key"])
        if decision is None or decision.verdict != "accept" or decision.etag != card["etag"]:
            continue
        if card["output_key"] and card["method"] != GRAY and decision.output_sha256 == card["output_sha256"]:
            yield AcceptedResult(card["output_key"], card["output_sha256"])
