"""Turn a person's correction into a guide, and combine it with the image's other guides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import dropwhile

from pipeline.cli.counts import counted
from pipeline.guides.guide import BrushStroke, Guide
from pipeline.guides.methods import Methods
from pipeline.guides.objects import ObjectReference
from pipeline.guides.stated import UncheckedGuides
from pipeline.plan.decisions import ImageCorrection
from pipeline.records import GRAY
from pipeline.review.correction import Correction
from pipeline.storage import ObjectInfo, Store


def drawn_guide(correction: Correction, side: int) -> Guide:
    """The guide with the correction's strokes and chroma factor, without its reference and method, which need
    stores and networks.

    Erasers before the first colour stroke, and a factor of 1, change nothing and are left out.

    Args:
        side: `guides.side`, the longest side on which strokes are spread, in pixels.
    """
    drawn = tuple(BrushStroke(one.color, one.radius, one.path) for one in correction.strokes)
    strokes = tuple(dropwhile(lambda stroke: stroke.color is None, drawn))
    chroma = None if correction.chroma == 1 else correction.chroma
    return Guide(strokes=strokes, side=side if strokes else 0, chroma=chroma)


def corrected(stated: UncheckedGuides, by: ImageCorrection, out: Store, methods: Methods) -> UncheckedGuides:
    """The image's guides including its correction, which takes precedence for each kind of guide.

    Pictures from the file or sidecars are dropped if they do not fit the correction's method or reference. An
    image that should stay gray has no other guide.

    Args:
        out: where results are, one of which may be the reference.
    """
    of = f"the correction of {by.key!r} by {by.who}"
    if by.correction is None:
        return UncheckedGuides(stated.source, of, method=GRAY)
    drawn, objects = drawn_guide(by.correction, 0), dict(stated.objects)
    method = by.correction.method or stated.method
    if by.reference is not None:
        objects.pop("style", None)
        objects["reference"] = ObjectReference(of, by.reference, out, by.reference)
        if by.correction.method is None and "reference" not in methods.takes.get(method or "", {"reference"}):
            method = None
    if by.correction.method is not None:
        taken = methods.takes.get(by.correction.method, frozenset()) | {"scribbles"}
        own = {"reference"} if by.reference is not None else set()
        objects = {kind: named for kind, named in objects.items() if kind in taken | own}
    changed = {"objects": objects, "strokes": drawn.strokes, "chroma": drawn.chroma, "method": method}
    return replace(stated, where=of, **changed)  # type: ignore[arg-type]


def counting(
    kept: Iterable[ObjectInfo], corrections: Mapping[str, Sequence[ImageCorrection]]
) -> tuple[dict[str, ImageCorrection], list[str]]:
    """The corrections of exactly these versions of the objects to colour, and warnings about other versions.

    Returns:
        Corrections by source key, and warnings.
    """
    counts, others, warnings = dict[str, ImageCorrection](), list[ImageCorrection](), list[str]()
    for info in kept if corrections else ():
        of_key = corrections.get(info.key, ())
        same = [one for one in of_key if one.etag == info.etag]
        if not same:
            others += of_key[-1:]
        elif (problem := same[-1].problem) is not None:
            warnings.append(does_not_count(same[-1], problem))
        else:
            counts[info.key] = same[-1]
    if others:
        count = counted(len(others), "correction")
        warnings.append(
            f"{count} of another version of the source, such as {others[0].key!r} by {others[0].who}, "
            "do not count: review the images again"
        )
    return counts, warnings


def does_not_count(one: ImageCorrection, problem: str) -> str:
    """A warning."""
    return f"the correction of {one.key!r} by {one.who} does not count: {problem}"
