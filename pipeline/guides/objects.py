"""The objects that serve as guides: find them, identify them by ETag, compare them with the photograph."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline.codecs.sniff import readable_format
from pipeline.config.storage import StorageConfig
from pipeline.errors import AccessDenied, BadKey, ConfigError, ObjectMissing
from pipeline.guides.guide import Point
from pipeline.guides.guide_file import split_uri
from pipeline.guides.picture_sizes import png_head
from pipeline.storage import Store, open_store

_HEAD_BYTES = 4096
Sizes = set[tuple[int, int]]


class ObjectReference(NamedTuple):
    """An object named by a row or a sidecar; `where` says by which, for messages."""

    where: str
    name: str
    store: Store
    key: str


class ObjectHead(NamedTuple):
    """An object that is there: its ETag and its first bytes."""

    etag: str
    head: bytes


@dataclass
class Names:
    """Turns what a row says into stores and keys: below `folder`, or a path or URI of its own."""

    folder: Store
    storage: StorageConfig
    stores: dict[str, Store] = field(default_factory=dict)

    def find(self, where: str, name: str) -> ObjectReference:
        """Find the object. Raises ConfigError for an invalid URI."""
        if "://" not in name and not name.startswith("/"):
            return ObjectReference(where, name, self.folder, name)
        folder, key = split_uri(name)
        if folder not in self.stores:
            self.stores[folder] = open_store(folder, self.storage)
        return ObjectReference(where, name, self.stores[folder], key)


def read_head(named: ObjectReference) -> ObjectHead | str:
    """The object, or a text that says why it cannot be read. Raises StorageError if the store fails."""
    try:
        fetched = named.store.get(named.key, max_bytes=_HEAD_BYTES)
    except ObjectMissing:
        return f"there is no {named.name!r} in {named.store.uri}"
    except (AccessDenied, BadKey, ConfigError) as error:
        return str(error)
    return ObjectHead(fetched.etag, fetched.data)


def misfit(kind: str, name: str, head: bytes, sizes: Sizes) -> str | None:
    """Why an object does not fit as this kind of guide for a source of one of these upright sizes, or None.

    If no size is known, only the object itself is checked; the worker checks the rest.
    """
    if kind != "scribbles":
        return None if readable_format(head) else f"{kind} {name!r} is not a picture in a supported format"
    png = png_head(head)
    if png is None:
        return f"scribbles {name!r} are not a PNG"
    if png.kind in ("RGB", "gray"):
        return f"scribbles {name!r} have no alpha channel ({png.kind}): it says where colour is given"
    if sizes and not any(proportional((png.width, png.height), size) for size in sizes):
        width, height = min(sizes)
        return (
            f"scribbles {name!r} of {png.width} x {png.height} do not fit a source of {width} x {height}: "
            "they must have its size or its proportions"
        )
    return None


def outside(points: tuple[Point, ...], sizes: Sizes) -> list[str]:
    """A line for each point that lies in none of the sizes; none where no size is known."""
    return [
        f"point ({point.x:g}, {point.y:g}) lies outside the image of {width} x {height}"
        for point in points
        for width, height in [min(sizes, default=(0, 0))]
        if sizes and not any(point.x < w and point.y < h for w, h in sizes)
    ]


def proportional(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two sizes have the same proportions, up to rounding of the smaller one to whole pixels."""
    (w, h), (W, H) = sorted((one, other))
    if not (w and h and W and H):
        return False
    return abs(w - h * W / H) <= 1 or abs(h - w * H / W) <= 1
