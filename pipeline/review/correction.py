"""A person's correction of one image: colour strokes, another method, more or less colour."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from pipeline.config.section import Section
from pipeline.storage.base import MAX_KEY_BYTES

#: Largest factor on chroma; more would look like a poster.
MOST_CHROMA = 3.0
MOST_STROKES = 500
MOST_STROKE_PLACES = 2_000

Color = Annotated[str, StringConstraints(pattern=r"^#[0-9a-f]{6}$")]
Share = Annotated[float, Field(ge=0, le=1)]


class Stroke(Section):
    """One movement of the brush over the upright image. Later strokes cover earlier ones.

    All lengths are relative, so a stroke drawn on a small view means the same at full size.
    """

    color: Color | None = Field(description="sRGB; null: an eraser, which takes strokes away below it")
    radius: float = Field(gt=0, le=0.5, description="of the brush, as a share of the image's longer side")
    path: tuple[tuple[Share, Share], ...] = Field(
        min_length=1,
        max_length=MOST_STROKE_PLACES,
        description="x as a share of the width, y of the height; (0, 0) is the upper left corner",
    )


class Correction(Section):
    """How to colour one image differently from its present result. Everything not named stays automatic.

    Raises ValidationError if it would change nothing.
    """

    strokes: tuple[Stroke, ...] = Field((), max_length=MOST_STROKES)
    reference: str | None = Field(
        None,
        min_length=1,
        max_length=MAX_KEY_BYTES,
        description="source key of an image whose result lends its colours",
    )
    method: str | None = Field(None, min_length=1, max_length=64, description="as in a guides file")
    chroma: float | None = Field(
        None, ge=0, le=MOST_CHROMA, description="factor on the chroma of the whole image, after all else"
    )

    @model_validator(mode="after")
    def _says_something(self) -> Correction:
        if not (self.strokes or self.reference or self.method or self.chroma is not None):
            raise ValueError("a correction must change something: strokes, reference, method or chroma")
        return self
