"""Which objects of an archive storage class are restored: not every listing says so."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from pipeline.errors import StorageError
from pipeline.storage import ObjectInfo, Store

#: Objects that are asked one by one, and requests at a time: seconds at most, however large an archive is.
MOST_ASKED, _AT_A_TIME = 500, 16


def still_archived(source: Store, archived: Sequence[ObjectInfo]) -> list[ObjectInfo]:
    """Those of the objects, which are listed as archived, that cannot be read yet.

    The first `MOST_ASKED` are asked; of the others the listing is believed. An object that does not answer
    counts as archived: the run will tell.
    """

    def stays(info: ObjectInfo) -> bool:
        try:
            return not source.is_restored(info.key)
        except StorageError:
            return True

    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        still = list(pool.map(stays, archived[:MOST_ASKED]))
    return [info for info, stay in zip(archived, still, strict=False) if stay] + list(archived[MOST_ASKED:])
