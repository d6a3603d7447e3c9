"""Find images that failed because of the storage and can be read now."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import AccessDenied, BadKey, ObjectChanged, ObjectDamaged, ObjectMissing
from pipeline.storage import ObjectInfo, Store

_THREADS = 16


def readable_again(
    source: Store, objects: Sequence[ObjectInfo], statuses: NDArray[np.int8], failed: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Indices of the done objects that failed because of the storage and whose first byte can be read now.

    One request per object; whether all of its bytes are intact is checked when it is fetched.

    Raises:
        StorageError: the store as a whole fails.
    """
    asked = np.flatnonzero(failed & (statuses >= 0))
    if not len(asked):
        return asked
    with ThreadPoolExecutor(_THREADS) as pool:
        answers = pool.map(lambda i: _gives_a_byte(source, objects[i]), asked.tolist())
        return np.asarray(asked[np.fromiter(answers, bool, len(asked))], np.int64)


def _gives_a_byte(source: Store, info: ObjectInfo) -> bool:
    try:
        source.get(info.key, if_etag=info.etag, max_bytes=1, size=info.bytes)
    except ObjectDamaged:
        return True
    except (AccessDenied, BadKey, ObjectChanged, ObjectMissing):
        return False
    return True
