"""The shipped weights: name, method and permitted users of each file (`weights/cards.yaml`)."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import yaml

from pipeline.config.section import Section

_CARDS = Path(__file__).resolve().parents[1] / "weights" / "cards.yaml"


class ShippedCard(Section):
    """Of a weights file that ships: `about` in a few words, `page` beside the file, `sha256` of its bytes."""

    method: str
    about: str
    licence: str
    non_commercial: bool
    page: str
    sha256: str


@cache
def shipped_cards() -> dict[str, ShippedCard]:
    """All of them by name, the default first."""
    table = yaml.safe_load(_CARDS.read_text(encoding="utf-8"))
    return {name: ShippedCard.model_validate(card) for name, card in table.items()}


def name_of(sha256: str) -> str | None:
    """The name of the shipped weights with this digest; None if there are none."""
    return next((name for name, card in shipped_cards().items() if card.sha256 == sha256), None)
