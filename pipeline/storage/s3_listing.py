"""Listing a bucket in key order, several prefixes at a time.

S3 hands out keys in order, 1,000 per request, each page naming the next: one prefix is a serial affair.
Folders ("common prefixes") are contiguous in that order, so they can be listed apart and strung together.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from pipeline.storage.base import ObjectInfo

#: Asks for one page: `page(Prefix=..., Delimiter=..., ContinuationToken=...)` gives boto3's answer.
Page = Callable[..., Any]

#: Prefixes listed at once, and pages held for each: at most 8 x 32 x 1,000 objects, about 70 MB.
_AHEAD, _PAGES = 8, 32
#: A folder of more subfolders is listed flat: one request for each would cost more than it gains.
_MOST_FOLDERS = 100
_LEVELS = 3
#: Objects of these classes must be restored before they can be read. GLACIER_IR ("instant retrieval") is not
#: one of them. INTELLIGENT_TIERING may be: its listing does not name the tier, and only a get tells.
_ARCHIVE_CLASSES = frozenset({"GLACIER", "DEEP_ARCHIVE"})


class _Folder(NamedTuple):
    prefix: str
    splittable: bool


def list_sorted(page: Page, prefix: str) -> Iterator[ObjectInfo]:
    """All objects below `prefix` with whole keys, in the order of the keys' UTF-8 bytes."""
    parts: list[ObjectInfo | _Folder] = [_Folder(prefix, True)]
    for _ in range(_LEVELS):
        folders = [part for part in parts if isinstance(part, _Folder)]
        if len(folders) >= _AHEAD or not any(folder.splittable for folder in folders):
            break
        parts = [sub for part in parts for sub in _split(page, part)]
    yield from _in_order(page, parts)


def _split(page: Page, part: ObjectInfo | _Folder) -> list[ObjectInfo | _Folder]:
    """A folder's own objects and its subfolders in key order; itself where splitting does not pay."""
    if isinstance(part, ObjectInfo) or not part.splittable:
        return [part]
    answer = page(Prefix=part.prefix, Delimiter="/")
    folders = [_Folder(each["Prefix"], True) for each in answer.get("CommonPrefixes", [])]
    if answer.get("IsTruncated") or len(folders) > _MOST_FOLDERS:
        return [_Folder(part.prefix, False)]
    return sorted([*_objects(answer), *folders], key=lambda each: each[0])


def _in_order(page: Page, parts: list[ObjectInfo | _Folder]) -> Iterator[ObjectInfo]:
    waiting = deque(part for part in parts if isinstance(part, _Folder))
    running: deque[_Reader] = deque()
    try:
        for part in parts:
            if isinstance(part, ObjectInfo):
                yield part
                continue
            while waiting and len(running) < _AHEAD:
                running.append(_Reader(page, waiting.popleft().prefix))
            yield from running[0]
            running.popleft()
    finally:
        for reader in running:
            reader.stop()


class _Reader:
    """A thread that reads the pages of one prefix, never more than `_PAGES` ahead of its consumer."""

    def __init__(self, page: Page, prefix: str) -> None:
        self._page, self._prefix = page, prefix
        self._queue: queue.Queue[list[ObjectInfo] | Exception | None] = queue.Queue(_PAGES)
        self._stopped = threading.Event()
        threading.Thread(target=self._run, name=f"list {prefix}", daemon=True).start()

    def __iter__(self) -> Iterator[ObjectInfo]:
        while (page := self._queue.get()) is not None:
            if isinstance(page, Exception):
                raise page
            yield from page

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        try:
            for objects in _pages(self._page, self._prefix):
                self._hand_over(objects)
                if self._stopped.is_set():
                    return
            self._hand_over(None)
        except Exception as error:  # raised again in the consumer's thread
            self._hand_over(error)

    def _hand_over(self, item: list[ObjectInfo] | Exception | None) -> None:
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=0.5)
            except queue.Full:
                continue
            return


def _pages(page: Page, prefix: str) -> Iterator[list[ObjectInfo]]:
    query = {"Prefix": prefix}
    while True:
        answer = page(**query)
        yield _objects(answer)
        if not answer.get("IsTruncated"):
            return
        query["ContinuationToken"] = answer["NextContinuationToken"]


def _objects(answer: Any) -> list[ObjectInfo]:
    return [
        ObjectInfo(o["Key"], o["ETag"].strip('"'), o["Size"], _is_archived(o))
        for o in answer.get("Contents", [])
    ]


def _is_archived(entry: Any) -> bool:
    """A restored object keeps its class; the date until which its copy can be read shows the restore."""
    restored = "RestoreExpiryDate" in entry.get("RestoreStatus", {})
    return entry.get("StorageClass") in _ARCHIVE_CLASSES and not restored
