"""The guide of one image, as passed from the plan to the workers."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

#: Guides that are objects in a store, and the words for them in columns and in the names of sidecars.
OBJECT_KINDS = ("scribbles", "reference", "style", "picture")
DEFAULT_RADIUS = 3.0
_YOUNGER = ("strokes", "chroma", "picture")
_WANTED = '[[x, y, "#rrggbb", radius], ...]'
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")


class Point(NamedTuple):
    """A disc of one colour: centre and radius in pixels of the upright source, colour `#rrggbb` in sRGB."""

    x: float
    y: float
    color: str
    radius: float = DEFAULT_RADIUS


class BrushStroke(NamedTuple):
    """One movement of a brush over the upright image; None as its colour: an eraser of earlier strokes.

    `radius` is a share of the longer side. `path`: x as a share of the width, y of the height, (0, 0) the
    upper left corner.
    """

    color: str | None
    radius: float
    path: tuple[tuple[float, float], ...]


class GuideObject(NamedTuple):
    """An object in a store: `folder` a URI or absolute path, `key` below it, and the version meant.

    `name` is the key or URI as the user wrote it, for messages and for the digest.
    """

    name: str
    folder: str
    key: str
    etag: str


@dataclass(frozen=True)
class Guide:
    """What guides the colours of one image, in addition to its lightness.

    `method` is None where the image is coloured with the job's own, else the registry name of another, whose
    shipped weights have the digest `weights`. `side`: longest side on which hints are spread, pixels; 0 where
    there are none. `chroma`: factor on the chroma of the whole image, after hints; None is 1, 0 is gray.
    `picture`: a colour picture of the same image, whose colours to use.
    """

    scribbles: GuideObject | None = None
    points: tuple[Point, ...] = ()
    reference: GuideObject | None = None
    style: GuideObject | None = None
    method: str | None = None
    weights: str | None = None
    side: int = 0
    strokes: tuple[BrushStroke, ...] = ()
    chroma: float | None = None
    picture: GuideObject | None = None

    @property
    def has_hints(self) -> bool:
        """Whether colours are given at places of the image itself."""
        return self.scribbles is not None or bool(self.points or self.strokes)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Which guides it holds, in the order of the columns."""
        kinds = ("scribbles", "points", "strokes", "reference", "style", "picture")
        factor = () if self.chroma is None else ("chroma",)
        return (*(name for name in kinds if getattr(self, name)), *factor)

    @property
    def given(self) -> frozenset[str]:
        """The guides by the names that methods use; points and strokes count as "scribbles"."""
        return frozenset(self.objects()) | ({"scribbles"} if self.has_hints else frozenset())

    def objects(self) -> dict[str, GuideObject]:
        """The guides that are objects, by kind."""
        objects = {kind: getattr(self, kind) for kind in OBJECT_KINDS}
        return {kind: value for kind, value in objects.items() if value is not None}

    def digest(self) -> str:
        """16 hex digits over everything that changes the image's colours.

        Objects count by name and version, not by folder, so that guides may be moved together. The ETag alone
        is not enough, because in a folder it is size and time, which two files can share.
        """
        content = self._content() | {kind: [o.name, o.etag] for kind, o in self.objects().items()}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """One line; `from_json` reads it back to an equal guide."""
        return json.dumps(self._content())

    def _content(self) -> dict[str, Any]:
        """The guide's content. Newer fields are included only if set, so that the digests of guides without
        them do not change."""
        content = {field.name: getattr(self, field.name) for field in fields(self)}
        for name in _YOUNGER:
            if content[name] in ((), None):
                del content[name]
        return content

    @classmethod
    def from_json(cls, text: str) -> Guide:
        """The inverse of `to_json`."""
        values: dict[str, Any] = json.loads(text)
        for kind in OBJECT_KINDS:
            values[kind] = GuideObject(*values[kind]) if values.get(kind) is not None else None
        values["points"] = tuple(Point(*point) for point in values["points"])
        strokes = values.get("strokes", ())
        values["strokes"] = tuple(BrushStroke(c, r, tuple(map(tuple, path))) for c, r, path in strokes)
        return cls(**{field.name: values[field.name] for field in fields(cls) if field.name in values})


def parse_points(value: object) -> tuple[Point, ...]:
    """Points from a list of (x, y, #rrggbb[, radius]) or of mappings with these names, or from it as JSON.

    Raises:
        ValueError: one line on what is wrong; a coordinate below 0, a radius not above 0, no such colour.
    """
    if isinstance(value, str):
        text = value
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            raise ValueError(f"points {text[:60]!r} are not JSON: give {_WANTED}") from None
    if not isinstance(value, list):
        raise ValueError(f"points {value!r:.60} are not a list: give {_WANTED}")
    return tuple(_point(one) for one in value)


def _point(value: Any) -> Point:
    if isinstance(value, dict):
        if unknown := set(value) - set(Point._fields):
            raise ValueError(f"a point has no {sorted(unknown)[0]!r}, only x, y, color, radius")
        value = [value.get("x"), value.get("y"), value.get("color"), value.get("radius", DEFAULT_RADIUS)]
    if not isinstance(value, list | tuple) or len(value) not in (3, 4):
        raise ValueError(f'point {value!r:.60}: give [x, y, "#rrggbb", radius]')
    x, y, color, radius = [*value, DEFAULT_RADIUS][:4]
    radius = DEFAULT_RADIUS if radius is None else radius
    if not all(_is_number(n) for n in (x, y, radius)) or radius <= 0:
        raise ValueError(f"point {value!r:.60}: x, y and radius are pixels, radius above 0")
    if x < 0 or y < 0:
        raise ValueError(f"point ({x:g}, {y:g}) lies outside the image")
    if not isinstance(color, str) or not _COLOR.fullmatch(color):
        raise ValueError(
            f"point ({x:g}, {y:g}) has the colour {color!r:.40}: give #rrggbb, two hex digits each"
        )
    return Point(float(x), float(y), color.lower(), float(radius))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9
