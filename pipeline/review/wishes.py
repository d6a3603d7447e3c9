"""What the served page asks for, and what the command hands in to do it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import Field

from pipeline.config.section import Section
from pipeline.review.correction import Correction
from pipeline.review.decisions import Identifier, Verdict
from pipeline.storage.base import MAX_KEY_BYTES

#: Of one source (columns of cards.CARD_SCHEMA), and all by source key.
Card = Mapping[str, Any]
Cards = Mapping[str, Card]
#: Colours an image as the correction says, with the colours of the second one where it names a reference;
#: returns a JPEG. It raises ImageFailure and FiatColorError.
Preview = Callable[[Card, Correction, Card | None], bytes]
#: Carries out the decisions that stand; returns one line for a person, and the cards as they are then. It
#: raises FiatColorError.
Apply = Callable[[], tuple[str, Cards]]


class Wish(Section):
    """A decision as the page sends it; who and when are the server's to say."""

    id: Identifier
    key: str = Field(min_length=1, max_length=MAX_KEY_BYTES)
    etag: str = Field(min_length=1, max_length=256)
    output_sha256: str | None = Field(None, max_length=64)
    verdict: Verdict
    correction: Correction | None = None
    undoes: Identifier | None = None


class PreviewWish(Section):
    """A correction that is being drawn, to be looked at."""

    key: str = Field(min_length=1, max_length=MAX_KEY_BYTES)
    correction: Correction


class Superseded(Exception):
    """A later request came while this one waited."""
