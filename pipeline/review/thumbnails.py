"""Write thumbnails of sources and results that the workers did not write, each only once.

The name of a thumbnail is the digest of the bytes that it shows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import compress
from typing import Any

import pyarrow as pa
from PIL import Image

from pipeline.codecs.thumbnail import thumbnail_jpeg
from pipeline.errors import FailureCode, ImageFailure, StorageError
from pipeline.ledger.keys import THUMBNAILS, thumbnail_key, thumbnail_name
from pipeline.records import Status
from pipeline.report.run_report import thumbnail
from pipeline.storage import Store

_MOST_BYTES = 512 * 2**20
_MOST_PIXELS = 100_000_000
# At the end of a run, in its process; thumbnails of further failures wait for `fiat-color review`.
_MOST_FAILURES = 1000
_ENDED_PROCESSES = (
    FailureCode.DECODER_CRASHED,
    FailureCode.OUT_OF_MEMORY,
    FailureCode.TIMEOUT,
    FailureCode.WORKER_LOST,
)
#: Errors that mean that a picture cannot be shown.
UNREADABLE = (StorageError, ImageFailure, OSError, ValueError, SyntaxError, Image.DecompressionBombError)


@dataclass(frozen=True)
class Thumbnails:
    """Names of thumbnails by card: 32 hex digits, "" if there is none.

    `made` counts thumbnails written now, `unreadable` pictures that cannot be shown (not files that the
    ledger calls non-images). `left` counts coloured images and colour photographs without a thumbnail that
    were not read now.
    """

    before: list[str]
    after: list[str]
    made: int
    unreadable: int
    left: int = 0


def source_name(card: Mapping[str, Any]) -> str:
    """The name by the source's bytes if they were hashed, else by its key and ETag: 32 hex digits."""
    if card["source_sha256"]:
        return thumbnail_name(str(card["source_sha256"]))
    return hashlib.sha256(f"{card['key']}\0{card['etag']}".encode()).hexdigest()[:32]


def make_thumbnails(
    source: Store | None,
    out: Store,
    cards: pa.Table,
    *,
    side: int,
    threads: int,
    of_run: str | None = None,
    progress: Callable[[int, int], None] = lambda done, bad: None,
) -> Thumbnails:
    """Write the missing thumbnails; a picture that has one is not read again.

    A source that changed after its row was written gets none; nor does a result that differs from the ledger.

    Args:
        source: where the sources are; None: unknown, only results are shown.
        cards: CARD_SCHEMA.
        side: longest side in pixels.
        of_run: the run that is ending. Its workers have written thumbnails of what they read, so only its
            failed sources are read here, and nothing that earlier runs left without a thumbnail. None: read
            everything that is missing.

    Raises:
        StorageError: a thumbnail cannot be written, or existing ones cannot be listed.
    """
    present = {info.key.rpartition("/")[2].removesuffix(".jpg") for info in out.list(f"{THUMBNAILS}{side}/")}
    maker, found = _Maker(source, out, side, present), _Found()
    with ThreadPoolExecutor(threads) as pool:
        for batch in cards.to_batches(max_chunksize=1024):
            listed = batch.to_pylist()
            wanted = [maker.lacks(card) and found.is_to_be_read(card, of_run) for card in listed]
            made = pool.map(maker.pair, compress(listed, wanted))
            for card, is_read in zip(listed, wanted, strict=True):
                found.add(next(made) if is_read else maker.known(card))
                progress(len(found.before), found.unreadable)
    return Thumbnails(found.before, found.after, found.made, found.unreadable, found.left)


@dataclass(frozen=True)
class _One:
    name: str = ""
    made: bool = False
    unreadable: bool = False


@dataclass
class _Found:
    """What is known so far about all cards, and how many failures a run may still read."""

    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    made: int = 0
    unreadable: int = 0
    left: int = 0
    failures: int = _MOST_FAILURES

    def add(self, pair: tuple[_One, _One]) -> None:
        self.before.append(pair[0].name)
        self.after.append(pair[1].name)
        self.made += pair[0].made + pair[1].made
        self.unreadable += pair[0].unreadable + pair[1].unreadable

    def is_to_be_read(self, card: Mapping[str, Any], of_run: str | None) -> bool:
        """Whether a card that lacks a thumbnail gets one now; those that must wait are counted."""
        if of_run is None:
            return True
        if card["status"] in (Status.COLORIZED, Status.SKIPPED_COLOR):
            self.left += not _is_large(card)
        is_failure = card["status"] == Status.FAILED and card["failure_code"] not in _ENDED_PROCESSES
        if not is_failure or card["run_id"] != of_run or self.failures == 0:
            return False
        self.failures -= 1
        return True


@dataclass(frozen=True)
class _Maker:
    source: Store | None
    out: Store
    side: int
    present: set[str]

    def lacks(self, card: Mapping[str, Any]) -> bool:
        """Whether a thumbnail is missing, even if it cannot be made."""
        before, after = self.known(card)
        return not before.name or (not after.name and _has_result(card))

    def known(self, card: Mapping[str, Any]) -> tuple[_One, _One]:
        """The existing thumbnails."""
        names = source_name(card), thumbnail_name(card["output_sha256"]) if _has_result(card) else ""
        before, after = (_One(name if name in self.present else "") for name in names)
        return before, after

    def pair(self, card: Mapping[str, Any]) -> tuple[_One, _One]:
        return self.before(card), self.after(card)

    def before(self, card: Mapping[str, Any]) -> _One:
        name, source = source_name(card), self.source
        if name in self.present:
            return _One(name)
        if source is None or _is_large(card):
            return _One()
        one = self._write(name, lambda: source.get(str(card["key"]), if_etag=card["etag"]).data)
        return one if _is_picture(card) else replace(one, unreadable=False)

    def after(self, card: Mapping[str, Any]) -> _One:
        if not _has_result(card):
            return _One()
        name = thumbnail_name(card["output_sha256"])
        if name in self.present:
            return _One(name)
        return _One() if _is_large(card) else self._write(name, lambda: self._result(card))

    def _result(self, card: Mapping[str, Any]) -> bytes:
        data = self.out.get(str(card["output_key"]), max_bytes=_MOST_BYTES).data
        if hashlib.sha256(data).hexdigest() != card["output_sha256"]:
            raise ValueError("its bytes differ from the ledger")
        return data

    def _write(self, name: str, read: Callable[[], bytes]) -> _One:
        try:
            image = thumbnail(read(), self.side)
        except UNREADABLE:  # shown as a card without picture, and counted
            return _One(unreadable=True)
        self.out.put(thumbnail_key(self.side, name), thumbnail_jpeg(image), "image/jpeg")
        return _One(name, made=True)


def _has_result(card: Mapping[str, Any]) -> bool:
    return bool(card["output_key"] and card["output_sha256"])


def _is_picture(card: Mapping[str, Any]) -> bool:
    return (
        str(card["status"]) != Status.SKIPPED_OTHER and str(card["failure_code"]) != FailureCode.NOT_AN_IMAGE
    )


def _is_large(card: Mapping[str, Any]) -> bool:
    """Too large to be read whole."""
    pixels = (card["width"] or 0) * (card["height"] or 0)
    return pixels > _MOST_PIXELS or (card["bytes"] or 0) > _MOST_BYTES
