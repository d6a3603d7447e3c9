"""Guides stored next to their photograph: `NAME.scribbles.png`, `NAME.reference.jpg`, `NAME.style.jpg`.

NAME is the photograph's key, with or without its suffix: both `a/tram.scribbles.png` and
`a/tram.tif.scribbles.png` belong to `a/tram.tif`, and if both exist, the longer name wins.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pipeline.codecs.sniff import claims_image
from pipeline.storage import ObjectInfo

_SIDECAR = re.compile(
    r"(?P<name>.+)\.(?:(?P<scribbles>scribbles)\.png"
    r"|(?P<reference>reference|style)\.(?:jpe?g|png|webp|tiff?))",
    re.IGNORECASE | re.DOTALL,
)


@dataclass
class Sidecars:
    """Sidecar candidates seen while the source was listed: objects by kind and name."""

    candidates: dict[tuple[str, str], ObjectInfo] = field(default_factory=dict)

    def watch(self, listed: Iterable[ObjectInfo]) -> Iterator[ObjectInfo]:
        """Pass on the same objects, and remember those named like sidecars."""
        for listed_object in listed:
            if (match := _SIDECAR.fullmatch(listed_object.key)) is not None:
                kind = (match["scribbles"] or match["reference"]).lower()
                self.candidates.setdefault((kind, match["name"]), listed_object)
            yield listed_object

    def assign(self, kept: Iterable[ObjectInfo]) -> dict[str, dict[str, ObjectInfo]]:
        """By the key of each photograph its sidecars by kind."""
        if not self.candidates:
            return {}
        are_sidecars = {listed_object.key for listed_object in self.candidates.values()}
        assigned: dict[str, dict[str, ObjectInfo]] = {}
        for listed_object in kept:
            if listed_object.key in are_sidecars or claims_image(listed_object.key, None) is None:
                continue
            for kind in {kind for kind, _ in self.candidates}:
                sidecar = self.candidates.get((kind, listed_object.key)) or self.candidates.get(
                    (kind, stem(listed_object.key))
                )
                if sidecar is not None:
                    assigned.setdefault(listed_object.key, {})[kind] = sidecar
        return assigned

    def orphans(self, used: frozenset[str]) -> list[str]:
        """Keys of objects that are named like sidecars but belong to no photograph, in order."""
        return sorted(
            listed_object.key for listed_object in self.candidates.values() if listed_object.key not in used
        )


def stem(key: str) -> str:
    """The key without the suffix of its last part."""
    folder, slash, name = key.rpartition("/")
    return folder + slash + (name.rpartition(".")[0] or name)
