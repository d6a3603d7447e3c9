"""A simulated archive of any size: its keys are computed, and listed as S3 would."""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Any, overload

from pipeline.storage import ObjectInfo
from pipeline.storage.s3_listing import list_sorted

#: Keys in a page of S3, and objects of a folder and of a box in it.
_PAGE, _IN_FOLDER, _IN_BOX = 1000, 100_000, 500
_LAST = "\U0010ffff"


class ArchiveKeys(Sequence[str]):
    """`count` keys of about 60 bytes in code point order, none of which is kept in memory.

    flat: all in one folder; else 500 in a box, and 200 boxes in a folder.
    """

    def __init__(self, count: int, *, flat: bool = False) -> None:
        self._count, self._flat = count, flat

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._count))]
        if not 0 <= index < self._count:
            raise IndexError(index)
        name = f"negative-{index:09d}-{index * 2654435761 & 0xFFFFFFFF:08x}-recto.tif"
        if self._flat:
            return f"photographic-archive-1/{name}"
        folder, box = index // _IN_FOLDER, index % _IN_FOLDER // _IN_BOX
        return f"collection-{folder:04d}/box-{box:03d}/{name}"


def etag_of(index: int) -> str:
    """The ETag of an object: 32 hex digits that differ as those of an MD5 do."""
    return f"{(index + 1) * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128:032x}"


def size_of(index: int) -> int:
    """The size of an object: 40 to 160 kB, so that 512 objects make a shard."""
    return 40_000 + index * 7919 % 120_000


def page_of(keys: Sequence[str], latency: float = 0.0, size: int = _PAGE) -> Callable[..., dict[str, Any]]:
    """What answers as `list_objects_v2` does, for keys in order: Prefix, Delimiter, StartAfter and
    ContinuationToken, `size` keys and common prefixes in an answer.

    latency: seconds that each answer takes.
    """

    def page(
        Prefix: str = "", Delimiter: str = "", StartAfter: str = "", ContinuationToken: str = ""
    ) -> dict[str, Any]:
        if latency:
            time.sleep(latency)
        after = ContinuationToken or StartAfter
        at = max(bisect_left(keys, Prefix), bisect_right(keys, after) if after else 0)
        end = bisect_left(keys, Prefix + _LAST, lo=at)
        if not Delimiter:
            stop = min(at + size, end)
            truncated = {"NextContinuationToken": keys[stop - 1]} if stop < end else {}
            return {"Contents": _contents(keys, at, stop), "IsTruncated": stop < end} | truncated
        contents: list[dict[str, Any]] = []
        folders: list[dict[str, str]] = []
        last = ""
        while at < end and len(contents) + len(folders) < size:
            cut = keys[at].find(Delimiter, len(Prefix))
            if cut < 0:
                contents += _contents(keys, at, at + 1)
                last, at = keys[at], at + 1
                continue
            last = keys[at][: cut + len(Delimiter)]
            if not after.startswith(last):
                folders.append({"Prefix": last})
            at = bisect_left(keys, last + _LAST, lo=at)
            last += _LAST
        answer = {"Contents": contents, "CommonPrefixes": folders, "IsTruncated": at < end}
        return answer | ({"NextContinuationToken": last} if at < end else {})

    return page


def _contents(keys: Sequence[str], start: int, stop: int) -> list[dict[str, Any]]:
    return [
        {"Key": key, "ETag": f'"{etag_of(at)}"', "Size": size_of(at)}
        for at, key in enumerate(keys[start:stop], start)
    ]


class SimulatedArchive:
    """As much of a `Store` as a plan asks of its source: a listing."""

    uri = "s3://simulated"

    def __init__(self, keys: Sequence[str], latency: float = 0.0) -> None:
        self._page = page_of(keys, latency)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        return list_sorted(self._page, prefix)
