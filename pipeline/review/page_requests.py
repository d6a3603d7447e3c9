"""The requests of the served page, and the functions that the command provides to handle them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import Field

from pipeline.config.section import Section
from pipeline.review.correction import Correction
from pipeline.review.decisions import Identifier, Verdict
from pipeline.storage.base import MAX_KEY_BYTES

#: The card of one source (columns of cards.CARD_SCHEMA), and all cards by source key.
Card = Mapping[str, Any]
Cards = Mapping[str, Card]
#: Colours an image as the correction says, using the colours of the second image if the correction names a
#: reference. Returns a JPEG. Raises ImageFailure and FiatColorError.
Preview = Callable[[Card, Correction, Card | None], bytes]
#: Applies the current decisions; returns one line for a person, and the new cards. Raises FiatColorError.
Apply = Callable[[], tuple[str, Cards]]


class Wish(Section):
    """A decision as the page sends it; the server adds who and when."""

    id: Identifier
    key: str = Field(min_length=1, max_length=MAX_KEY_BYTES)
    etag: str = Field(min_length=1, max_length=256)
    output_sha256: str | None = Field(None, max_length=64)
    verdict: Verdict
    correction: Correction | None = None
    undoes: Identifier | None = None


class PreviewWish(Section):
    """A correction that is being drawn, to preview."""

    key: str = Field(min_length=1, max_length=MAX_KEY_BYTES)
    correction: Correction


class Superseded(Exception):
    """A later request replaced this one while it waited."""
