"""Match the pictures in `model.pictures`, coloured by other tools, to images by their keys.

For an image `1911/tram.tif`, these keys are tried, and the first kind that exists counts:

1. the same key, `1911/tram.tif`;
2. the key with a suffix of its own, `1911/tram.tif.png`;
3. the key with another suffix, or with an ending before it: `1911/tram.png`, `1911/tram_color.jpg`,
   `1911/tram-colorized.tif`. An ending is one of _ - . and a space, then color, colored, colorized,
   colorised, colorization or colorisation, each with "or" or "our", in any letter case.

If several pictures of that kind exist, the match is ambiguous and the image fails.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace

from pipeline.codecs.sniff import claims_image
from pipeline.config.job import JobConfig
from pipeline.errors import ConfigError, FailureCode
from pipeline.guides.guide import Guide, GuideObject
from pipeline.guides.methods import Methods
from pipeline.guides.sidecars import stem
from pipeline.plan.refusals import Refusal
from pipeline.storage import ObjectInfo, Store, open_store

_ENDING = re.compile(r"[ _.-]colou?r(?:ed|i[sz]ed|i[sz]ation)?", re.IGNORECASE)
_NAMED = 3  # of several candidates in a message


@dataclass
class Pictures:
    """The pictures of a listing, indexed by the image keys that they may belong to."""

    by_key: dict[str, ObjectInfo] = field(default_factory=dict)
    by_stem: dict[str, list[ObjectInfo]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def of(cls, listed: Iterable[ObjectInfo]) -> Pictures:
        """Those that have the suffix of an image."""
        pictures = cls()
        for info in listed:
            if claims_image(info.key, None) is None:
                continue
            pictures.by_key[info.key] = info
            own = stem(info.key)
            pictures.by_stem[own].append(info)
            plain = _without_ending(own)
            if plain != own:
                pictures.by_stem[plain].append(info)
        return pictures

    def candidates(self, key: str) -> list[ObjectInfo]:
        """The pictures that may be meant for an image, in key order: one, none, or too many."""
        if key in self.by_key:
            return [self.by_key[key]]
        return self.by_stem.get(key) or self.by_stem.get(stem(key)) or []


def _without_ending(name: str) -> str:
    """A stem without an ending that means "in colour"; a stem that is only an ending stays."""
    last = name.rpartition("/")[2]
    match = next((m for m in _ENDING.finditer(last) if m.end() == len(last) and m.start()), None)
    return name if match is None else name[: len(name) - len(match[0])]


@dataclass(frozen=True)
class Lent:
    """Guides by source key including the pictures, refused images, and lines for the plan."""

    guides: dict[str, Guide]
    refused: dict[str, Refusal]
    notices: tuple[str, ...]


def lend_pictures(
    source: Store,
    kept: Iterable[ObjectInfo],
    guides: Mapping[str, Guide],
    stated: Set[str],
    config: JobConfig,
    methods: Methods,
) -> Lent:
    """Give each image its picture from `model.pictures`, unless its own guide determines its colours.

    Args:
        kept: the images.
        guides: their own guides; a reference, style, picture or method in them takes precedence.
        stated: keys of images whose method is stated by the user.

    Raises:
        ConfigError: the folder does not exist or is the input. StorageError: the store fails.
    """
    assert config.model.pictures is not None
    store = _opened(source, config)
    pictures = Pictures.of(store.list())
    lent, refused, images, used = dict(guides), {}, 0, set()
    for info in kept:
        images += claims_image(info.key, None) is not None
        own = guides.get(info.key, Guide())
        if info.key in stated or own.method or own.objects().keys() - {"scribbles"}:
            continue
        if not (candidates := pictures.candidates(info.key)):
            continue
        used |= {candidate.key for candidate in candidates}
        if len(candidates) > 1:
            refused[info.key] = _ambiguous(candidates)
        lent[info.key] = _with_picture(own, candidates, store, methods)
    taken = sum(guide.picture is not None for key, guide in lent.items() if key not in refused)
    line = f"pictures {taken:,} of {images:,} images have one in {store.uri}"
    line += f", {len(refused):,} more than one" if refused else ""
    line += f"; {spare:,} belong to no image" if (spare := len(pictures.by_key) - len(used)) else ""
    return Lent(lent, refused, (line,))


def _opened(source: Store, config: JobConfig) -> Store:
    uri = str(config.model.pictures)
    try:
        store = open_store(uri, config.storage)
        store.check_readable()
    except ConfigError as error:
        raise ConfigError(f"configuration key 'model.pictures': {error}") from None
    if store.uri.rstrip("/") == source.uri.rstrip("/"):
        raise ConfigError(
            f"configuration key 'model.pictures' has the value {uri!r}, the input; put the pictures in a "
            "separate folder"
        )
    return store


def _with_picture(own: Guide, candidates: list[ObjectInfo], store: Store, methods: Methods) -> Guide:
    """The guide with its picture, or with all candidates, so that its digest changes with each of them."""
    name, etag = (" | ".join(getattr(one, part) for one in candidates) for part in ("key", "etag"))
    picture = GuideObject(name, store.uri, candidates[0].key, etag)
    method = methods.choose(None, own.given | {"picture"})
    if method == methods.job:
        return replace(own, picture=picture)
    return replace(own, picture=picture, method=method, weights=methods.weights(method))


def _ambiguous(candidates: list[ObjectInfo]) -> Refusal:
    names = ", ".join(repr(one.key) for one in candidates[:_NAMED])
    more = f" and {len(candidates) - _NAMED} more" if len(candidates) > _NAMED else ""
    return Refusal(FailureCode.GUIDE_INVALID, f"several pictures match: {names}{more}; keep only one of them")
