"""What the correction of a person says, as a guide."""

from __future__ import annotations

from itertools import dropwhile

from pipeline.guides.guide import BrushStroke, Guide
from pipeline.review.correction import Correction


def drawn_guide(correction: Correction, side: int) -> Guide:
    """The correction's strokes and factor; its reference and method need stores and networks, and are left
    out.

    Erasers before the first stroke of colour, and the factor 1, change nothing and are no guide.

    Args:
        side: `guides.side`, the longest side on which strokes are spread, in pixels.
    """
    drawn = tuple(BrushStroke(one.color, one.radius, one.path) for one in correction.strokes)
    strokes = tuple(dropwhile(lambda stroke: stroke.color is None, drawn))
    chroma = None if correction.chroma == 1 else correction.chroma
    return Guide(strokes=strokes, side=side if strokes else 0, chroma=chroma)
