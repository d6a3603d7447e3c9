"""List a bucket in key order, several key ranges in parallel.

S3 returns keys in order, 1,000 per request, and each page names the next, so one prefix is read serially.
Folders ("common prefixes") are contiguous in that order, so they can be listed separately and concatenated. A
long folder is cut at guessed keys (`s3_jumps`): each reader starts after one and stops at the next.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count, pairwise
from typing import Any, NamedTuple

from pipeline.storage.base import ObjectInfo
from pipeline.storage.s3_jumps import keys_ahead

#: Asks for one page: `page(Prefix=..., Delimiter=..., StartAfter=..., ContinuationToken=...)` gives boto3's
#: answer.
Page = Callable[..., Any]

#: Stretches that are read at once, pages that a reader takes of one, and pages that wait: at most 256 x 1,000
#: objects, about 70 MB.
_AHEAD, _PAGES, _MOST_PAGES = 8, 12, 256
#: A folder with more subfolders is listed flat, because one request per subfolder would cost more than it
#: saves.
_MOST_FOLDERS = 100
_LEVELS = 3
#: Objects of these classes must be restored before they can be read. GLACIER_IR ("instant retrieval") is not
#: one of them. INTELLIGENT_TIERING may be one: its listing does not show the tier, so only a get tells.
ARCHIVE_CLASSES = frozenset({"GLACIER", "DEEP_ARCHIVE"})


class _Folder(NamedTuple):
    prefix: str
    splittable: bool


def list_sorted(page: Page, prefix: str, *, jump: bool = True) -> Iterator[ObjectInfo]:
    """All objects below `prefix` with whole keys, in the order of the keys' UTF-8 bytes.

    jump: whether the server supports StartAfter and returns keys in order.
    """
    parts: list[ObjectInfo | _Folder] = [_Folder(prefix, True)]
    for _ in range(_LEVELS):
        folders = [part for part in parts if isinstance(part, _Folder)]
        if len(folders) >= _AHEAD or not any(folder.splittable for folder in folders):
            break
        parts = [sub for part in parts for sub in _split(page, part)]
    yield from _in_order(page, parts, jump)


def _split(page: Page, part: ObjectInfo | _Folder) -> list[ObjectInfo | _Folder]:
    """A folder's objects and subfolders in key order; the folder itself if splitting does not pay."""
    if isinstance(part, ObjectInfo) or not part.splittable:
        return [part]
    answer = page(Prefix=part.prefix, Delimiter="/")
    folders = [_Folder(each["Prefix"], True) for each in answer.get("CommonPrefixes", [])]
    if answer.get("IsTruncated") or len(folders) > _MOST_FOLDERS:
        return [_Folder(part.prefix, False)]
    return sorted([*_objects(answer), *folders], key=lambda each: each[0])


def _in_order(page: Page, parts: list[ObjectInfo | _Folder], jump: bool) -> Iterator[ObjectInfo]:
    folders = [_Stretch(part.prefix) for part in parts if isinstance(part, _Folder)]
    readers = _Readers(page, folders, jump)
    try:
        for part in parts:
            if isinstance(part, ObjectInfo):
                yield part
            else:
                yield from readers.folder(part.prefix)
    finally:
        readers.stop()


@dataclass(eq=False)
class _Stretch:
    """A key range: keys that begin with `prefix`, are after `after` and not after `until`."""

    prefix: str
    after: str = ""
    until: str | None = None  # None: to the end of the prefix
    token: str | None = None  # S3's continuation token after `after`, if a reader got that far
    guessed: bool = False
    pages: deque[list[ObjectInfo]] = field(default_factory=deque)
    begun: bool = False
    ended: bool = False
    error: Exception | None = None


class _Readers:
    """Threads that read key ranges in order, a few pages at a time; the rest of a range is cut again.

    At most `_MOST_PAGES` pages wait for their reader. The first range never waits for later ones: a thread
    reads what it has taken to the end and waits only for the server.
    """

    def __init__(self, page: Page, stretches: list[_Stretch], jump: bool) -> None:
        self._page, self._jump = page, jump
        self._stretches = stretches
        self._change = threading.Condition()
        self._threads = self._reading = 0
        self._stopped = False
        self._cuts = _AHEAD

    def folder(self, prefix: str) -> Iterator[ObjectInfo]:
        """The objects of the next folder, in order."""
        while self._stretches and self._stretches[0].prefix == prefix:
            self._employ()
            yield from self._first_page()

    def _first_page(self) -> list[ObjectInfo]:
        """The next page of the first range; empty at its end, when the next range becomes the first."""
        first = self._stretches[0]
        with self._change:
            while not first.pages and not first.ended:
                self._change.wait()
            objects = first.pages.popleft() if first.pages else None
            if objects is None:
                self._stretches.pop(0)
            self._change.notify_all()
        if objects is None and first.error is not None:
            raise first.error
        return objects or []

    def stop(self) -> None:
        with self._change:
            self._stopped = True
            self._change.notify_all()

    def _employ(self) -> None:
        """Start as many threads as there are ranges, at most `_AHEAD`."""
        with self._change:
            wanted = min(_AHEAD, sum(not each.begun for each in self._stretches) + self._reading)
            fresh = range(self._threads, wanted)
            self._threads = max(self._threads, wanted)
        for number in fresh:
            threading.Thread(target=self._work, name=f"list {number}", daemon=True).start()

    def _work(self) -> None:
        while (stretch := self._next()) is not None:
            try:
                self._read(stretch)
            except Exception as error:  # raised again in the consumer's thread
                stretch.error = error
            with self._change:
                stretch.ended = True
                self._reading -= 1
                self._change.notify_all()

    def _next(self) -> _Stretch | None:
        """The first range that no thread reads; None when the listing is complete."""
        with self._change:
            while not self._stopped and self._stretches:
                waiting = next((each for each in self._stretches if not each.begun), None)
                if waiting is not None and (waiting is self._stretches[0] or self._has_room()):
                    waiting.begun = True
                    self._reading += 1
                    return waiting
                self._change.wait()
            return None

    def _has_room(self) -> bool:
        held = sum(len(each.pages) for each in self._stretches)
        return held + (self._reading + 1) * _PAGES <= _MOST_PAGES

    def _read(self, stretch: _Stretch) -> None:
        """Read up to `_PAGES` pages of the range; the rest becomes new ranges."""
        query = {"Prefix": stretch.prefix}
        if stretch.token is not None:
            query["ContinuationToken"] = stretch.token
        elif stretch.after:
            query["StartAfter"] = stretch.after
        seen: list[str] = []
        for number in count(1):
            answer = self._page(**query)
            objects, beyond = self._within(stretch, _objects(answer))
            seen += (info.key for info in objects)
            over = beyond or not answer.get("IsTruncated")
            with self._change:
                stretch.pages.append(objects)
                if self._stopped or over:
                    self._judge(stretch, len(seen))
                    return
                if number >= _PAGES:
                    self._judge(stretch, len(seen))
                    self._cut(stretch, seen, answer["NextContinuationToken"])
                    return
                self._change.notify_all()
            query = {"Prefix": stretch.prefix, "ContinuationToken": answer["NextContinuationToken"]}

    def _within(self, stretch: _Stretch, objects: list[ObjectInfo]) -> tuple[list[ObjectInfo], bool]:
        """The objects in the range, and whether there were some beyond it."""
        if stretch.after and objects and objects[0].key <= stretch.after:  # a server without StartAfter
            self._jump = False
            objects = [info for info in objects if info.key > stretch.after]
        if stretch.until is None or not objects or objects[-1].key <= stretch.until:
            return objects, False
        until = stretch.until
        return [info for info in objects if info.key <= until], True

    def _judge(self, stretch: _Stretch, keys: int) -> None:
        """Useful guesses lead to more guesses at the next cut, useless ones to fewer."""
        if stretch.guessed:
            self._cuts = min(_AHEAD, self._cuts + 1) if keys else max(1, self._cuts - 1)

    def _cut(self, stretch: _Stretch, seen: list[str], token: str) -> None:
        """Queue the rest of the range after it, in pieces that should be shorter than the part read."""
        last = seen[-1] if seen else stretch.after
        seen = seen[len(seen) // 3 :]
        ahead = keys_ahead(seen, stretch.prefix, self._cuts, stretch.until) if self._jump and seen else []
        bounds = [last, *ahead, stretch.until]
        pieces = [
            _Stretch(stretch.prefix, str(after), until, guessed=number > 0)
            for number, (after, until) in enumerate(pairwise(bounds))
        ]
        pieces[0].token = token
        at = self._stretches.index(stretch) + 1
        self._stretches[at:at] = pieces
        self._change.notify_all()


def _objects(answer: Any) -> list[ObjectInfo]:
    return [
        ObjectInfo(o["Key"], o["ETag"].strip('"'), o["Size"], _is_archived(o))
        for o in answer.get("Contents", [])
    ]


def _is_archived(entry: Any) -> bool:
    """A restored object keeps its class; the date until which its copy can be read shows the restore."""
    restored = "RestoreExpiryDate" in entry.get("RestoreStatus", {})
    return entry.get("StorageClass") in ARCHIVE_CLASSES and not restored
