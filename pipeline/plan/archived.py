"""Which objects of an archive storage class are restored: not every listing says so."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import StorageError
from pipeline.plan.objects import Objects
from pipeline.storage import Store

#: Objects that are asked one by one, and requests at a time: seconds at most, however large an archive is.
MOST_ASKED, _AT_A_TIME = 500, 16


def still_archived(source: Store, objects: Objects, archived: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of the objects at these indices, which are listed as archived, that cannot be read yet.

    The first `MOST_ASKED` are asked; of the others the listing is believed. An object that does not answer
    counts as archived: the run will tell.
    """

    def stays(key: str) -> bool:
        try:
            return not source.is_restored(key)
        except StorageError:
            return True

    asked = archived[:MOST_ASKED]
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        stay = np.fromiter(pool.map(stays, objects.keys.take(asked)), bool, len(asked))
    return np.concatenate([asked[stay], archived[MOST_ASKED:]])
