"""The doubt about one image for its ledger row, combined over its pages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.ledger.doubt_maps import DoubtMap
from pipeline.models.doubt import UNLIKE, Judgement
from pipeline.records import DoubtReason

NEARLY_GRAY = 3.0
"""A result with a mean C*ab below this counts as nearly gray; most people see no colour at 2 or less."""

_DECIMALS = 4


@dataclass(frozen=True)
class Doubt:
    """doubt, novelty: 0 to 1, None where they are not known. reasons: in the order of DoubtReason. places:
    where the network was unsure, of the first page."""

    doubt: float | None = None
    novelty: float | None = None
    reasons: tuple[DoubtReason, ...] = ()
    places: DoubtMap | None = None

    def columns(self, mean_chroma: float, *, guided: bool) -> dict[str, object]:
        """Columns of the ledger.

        Args:
            mean_chroma: of the result, C*ab.
            guided: whether a person or a picture gave the colours: the network's doubt does not apply.
        """
        reasons = set(self.reasons) | ({DoubtReason.NEARLY_GRAY} if mean_chroma < NEARLY_GRAY else set())
        ordered = [str(reason) for reason in DoubtReason if reason in reasons]
        return {
            "doubt": None if guided or self.doubt is None else round(self.doubt, _DECIMALS),
            "doubt_reasons": ",".join(ordered) or None,
            "novelty": None if self.novelty is None else round(self.novelty, _DECIMALS),
        }


def joined_doubt(pages: Iterable[Judgement | None], places: DoubtMap | None = None) -> Doubt:
    """Combine all pages of an image: largest doubt and novelty, all reasons. `places`: of the first page."""
    known = [page for page in pages if page is not None]
    doubts = [page.doubt for page in known if page.doubt is not None]
    novelties = [page.novelty for page in known if page.novelty is not None]
    novelty = max(novelties, default=None)
    reasons = []
    if novelty is not None and novelty >= UNLIKE:
        reasons.append(DoubtReason.UNLIKE_TRAINING)
    return Doubt(max(doubts, default=None), novelty, tuple(reasons), places)
