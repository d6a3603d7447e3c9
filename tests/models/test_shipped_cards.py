"""The cards name every shipped weights file, by its bytes, and a page that exists."""

from __future__ import annotations

import hashlib

import pytest

from pipeline.models.shipped_cards import name_of, shipped_cards
from pipeline.models.weights import load_weights
from pipeline.models.weights_location import SHIPPED, shipped_names


def test_every_file_has_a_card_and_the_default_is_first() -> None:
    assert sorted(shipped_cards()) == shipped_names()
    assert next(iter(shipped_cards())) == "faithful"


@pytest.mark.parametrize("name", shipped_names())
def test_a_card_says_what_the_file_is(name: str) -> None:
    card, file = shipped_cards()[name], SHIPPED / f"{name}.safetensors"
    assert card.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert card.method == load_weights(str(file), None).info.method
    assert name_of(card.sha256) == name
    page = (SHIPPED / card.page).read_text(encoding="utf-8")
    assert f"`{name}`" in page or f"{name}.safetensors" in page
    assert ("Not for commercial use" in page) == card.non_commercial
    assert ("May be used commercially" in page) != card.non_commercial


def test_other_weights_have_none() -> None:
    assert name_of("0" * 64) is None
