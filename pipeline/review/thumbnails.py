"""Thumbnails of sources and results, each written once: its name says of which bytes it is."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
from PIL import Image

from pipeline.errors import FailureCode, ImageFailure, StorageError
from pipeline.ledger.keys import GALLERY
from pipeline.records import Status
from pipeline.report.gallery import thumbnail
from pipeline.storage import Store

_QUALITY = 82
_MOST_BYTES = 512 * 2**20
_MOST_PIXELS = 100_000_000
#: What a picture may raise that cannot be shown.
UNREADABLE = (StorageError, ImageFailure, OSError, ValueError, SyntaxError, Image.DecompressionBombError)


@dataclass(frozen=True)
class Thumbnails:
    """Names of thumbnails, by card: 32 hex digits, "" where there is none.

    `made` counts those that were written now, `unreadable` the pictures that cannot be shown;
    what the ledger says is no image is no picture.
    """

    before: list[str]
    after: list[str]
    made: int
    unreadable: int


def thumbnail_key(side: int, name: str) -> str:
    """Where a thumbnail of this longest side (pixels) stands below OUT."""
    return f"{GALLERY}thumbs/{side}/{name[:2]}/{name}.jpg"


def source_name(card: Mapping[str, Any]) -> str:
    """Of the source's bytes where they were hashed, else of its key and ETag: 32 hex digits."""
    if card["source_sha256"]:
        return str(card["source_sha256"])[:32]
    return hashlib.sha256(f"{card['key']}\0{card['etag']}".encode()).hexdigest()[:32]


def make_thumbnails(
    source: Store | None,
    out: Store,
    cards: pa.Table,
    *,
    side: int,
    threads: int,
    progress: Callable[[int, int], None] = lambda done, bad: None,
) -> Thumbnails:
    """Write the thumbnails that are missing; a picture that has one is not read again.

    A source that changed since its row, and a result whose bytes are not those of the ledger, have none.

    Args:
        source: where the sources are; None: unknown, only results are shown.
        cards: CARD_SCHEMA.
        side: longest side in pixels.

    Raises:
        StorageError: a thumbnail cannot be written, or those there not be listed.
    """
    folder = thumbnail_key(side, "").rsplit("/", 2)[0] + "/"
    present = {info.key.rpartition("/")[2].removesuffix(".jpg") for info in out.list(folder)}
    maker = _Maker(source, out, side, present)
    before, after = list[str](), list[str]()
    made = unreadable = 0
    with ThreadPoolExecutor(threads) as pool:
        for batch in cards.to_batches(max_chunksize=1024):
            for pair in pool.map(maker.pair, batch.to_pylist()):
                before.append(pair[0].name)
                after.append(pair[1].name)
                made += pair[0].made + pair[1].made
                unreadable += pair[0].unreadable + pair[1].unreadable
                progress(len(before), unreadable)
    return Thumbnails(before, after, made, unreadable)


@dataclass(frozen=True)
class _One:
    name: str = ""
    made: bool = False
    unreadable: bool = False


@dataclass(frozen=True)
class _Maker:
    source: Store | None
    out: Store
    side: int
    present: set[str]

    def pair(self, card: Mapping[str, Any]) -> tuple[_One, _One]:
        return self.before(card), self.after(card)

    def before(self, card: Mapping[str, Any]) -> _One:
        name, source = source_name(card), self.source
        if name in self.present:
            return _One(name)
        if source is None or (card["bytes"] or 0) > _MOST_BYTES or _is_large(card):
            return _One()
        one = self._write(name, lambda: source.get(str(card["key"]), if_etag=card["etag"]).data)
        return one if _is_picture(card) else replace(one, unreadable=False)

    def after(self, card: Mapping[str, Any]) -> _One:
        sha256 = card["output_sha256"]
        if not card["output_key"] or not sha256:
            return _One()
        if sha256[:32] in self.present:
            return _One(sha256[:32])
        return _One() if _is_large(card) else self._write(sha256[:32], lambda: self._result(card))

    def _result(self, card: Mapping[str, Any]) -> bytes:
        data = self.out.get(str(card["output_key"]), max_bytes=_MOST_BYTES).data
        if hashlib.sha256(data).hexdigest() != card["output_sha256"]:
            raise ValueError("its bytes are not those of the ledger")
        return data

    def _write(self, name: str, read: Callable[[], bytes]) -> _One:
        try:
            image = thumbnail(read(), self.side)
        except UNREADABLE:  # shown as a card without picture, and counted
            return _One(unreadable=True)
        self.out.put(thumbnail_key(self.side, name), jpeg(image), "image/jpeg")
        return _One(name, made=True)


def jpeg(image: Image.Image) -> bytes:
    """The picture as JPEG, without metadata of its source."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    return buffer.getvalue()


def _is_picture(card: Mapping[str, Any]) -> bool:
    return (
        str(card["status"]) != Status.SKIPPED_OTHER and str(card["failure_code"]) != FailureCode.NOT_AN_IMAGE
    )


def _is_large(card: Mapping[str, Any]) -> bool:
    return (card["width"] or 0) * (card["height"] or 0) > _MOST_PIXELS
