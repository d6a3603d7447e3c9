"""The guides of one image from file, sidecars and correction, before they are checked."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline.guides.guide import BrushStroke, Point
from pipeline.guides.objects import ObjectReference
from pipeline.storage import ObjectInfo


@dataclass(frozen=True)
class UncheckedGuides:
    """The unchecked guides of one image; `where` names their source, for messages."""

    source: ObjectInfo
    where: str
    points: tuple[Point, ...] = ()
    method: str | None = None
    objects: dict[str, ObjectReference] = field(default_factory=dict)
    strokes: tuple[BrushStroke, ...] = ()
    chroma: float | None = None

    @property
    def given(self) -> frozenset[str]:
        """The guides as methods call them: points and strokes are "scribbles" too."""
        return frozenset(self.objects) | ({"scribbles"} if self.points or self.strokes else frozenset())

    @property
    def is_measured(self) -> bool:
        """Whether the image's size must be known to check them."""
        return bool(self.points) or "scribbles" in self.objects
