"""Find out which objects in an archive storage class are restored, because not every listing says so."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import StorageError
from pipeline.plan.objects import Objects
from pipeline.storage import Store

#: How many objects to ask about one by one, and how many requests to run in parallel. This takes seconds at
#: most, however large the archive is.
MOST_ASKED, _AT_A_TIME = 500, 16


def still_archived(source: Store, objects: Objects, archived: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of the objects at these indices, which the listing calls archived, those that cannot be read yet.

    Asks the store about the first `MOST_ASKED` and believes the listing for the others. An object whose
    request fails counts as archived; the run will find out.
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
