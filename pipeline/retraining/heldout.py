"""Whether held-out photographs are held out: no network may be judged on what it has seen."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.config.storage import StorageConfig
from pipeline.errors import ConfigError
from pipeline.evaluate.photograph_list import Reader, Unreadable, list_photographs
from pipeline.evaluate.settings import EvaluateSection
from pipeline.photographs.duplicates import difference_hash
from pipeline.photographs.settings import PhotosConfig
from pipeline.storage import open_store
from pipeline.storage.ranges import RangedObject

U64 = NDArray[np.uint64]
_COMPARED_AT_ONCE = 64


def refuse_trained_on(
    photos: str, trained_on: tuple[str, ...], settings: EvaluateSection, storage: StorageConfig
) -> int:
    """Look for the photographs among the training rows that `prepare_photos.py` wrote to each `trained_on`.

    Pictures are compared, not files, by the difference hash and at the distance with which duplicates are
    left out of training. Returns how many photographs were compared; unreadable ones are the evaluation's
    business. Raises ConfigError where one was trained on, or there are no photographs or no training rows.
    """
    reader = Reader(photos, settings.pixels, storage)
    keys: list[str] = []
    hashes: list[bytes] = []
    for photo in list_photographs(photos, settings, storage):
        try:
            hashes.append(difference_hash(reader.read(photo)))
        except Unreadable:
            continue
        keys.append(photo.key)
    for uri in trained_on:
        rows = _training_rows(uri, storage)
        found = _near(_numbers(hashes), _numbers(rows["phash"].to_pylist()), PhotosConfig().hash_distance)
        if found:
            first, row = found[0]
            raise ConfigError(
                f"{len(found)} of the {len(keys)} photographs in {photos} were trained on, such as "
                f"{keys[first]} ({rows['key'][row].as_py()} in {uri}); take out what a network has seen"
            )
    return len(keys)


def _training_rows(uri: str, storage: StorageConfig) -> pa.Table:
    """Key and hash of the rows of the split "train"."""
    store = open_store(uri, storage)
    store.check_readable()
    parts = [info for info in store.list("photos-") if info.key.endswith(".parquet")]
    if not parts:
        raise ConfigError(f"{uri} holds no photos-*.parquet; name the folder that prepare_photos.py wrote")
    wanted = ["key", "split", "phash"]
    table = pa.concat_tables(pq.ParquetFile(RangedObject(store, part)).read(wanted) for part in parts)
    return table.filter(pa.compute.equal(table["split"], "train"))


def _numbers(hashes: list[bytes]) -> U64:
    return np.frombuffer(b"".join(hashes), dtype=np.uint64).reshape(-1, 2)


def _near(some_N2: U64, others_M2: U64, distance: int) -> list[tuple[int, int]]:
    """Each of N hashes that lies within `distance` bits of one of M, with the nearest of these."""
    found = []
    for start in range(0, len(some_N2) if len(others_M2) else 0, _COMPARED_AT_ONCE):
        part = some_N2[start : start + _COMPARED_AT_ONCE, None]
        bits = np.bitwise_count(part ^ others_M2).sum(axis=-1, dtype=np.int64)
        nearest = bits.argmin(axis=1)
        close = np.flatnonzero(bits[np.arange(len(part)), nearest] <= distance)
        found += [(start + int(i), int(nearest[i])) for i in close]
    return found
