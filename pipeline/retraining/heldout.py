"""Check that held-out photographs were not used for training: no network is judged on its training data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

from pipeline.config.storage import StorageConfig
from pipeline.errors import ConfigError
from pipeline.evaluate.photograph_list import Reader, Unreadable, list_photographs
from pipeline.evaluate.settings import EvaluateSection
from pipeline.photographs.duplicates import difference_hash
from pipeline.photographs.rows import list_parts, read_parts
from pipeline.photographs.settings import PhotosConfig
from pipeline.storage import Store

U64 = NDArray[np.uint64]
_COMPARED_AT_ONCE = 64


def refuse_trained_on(
    photos: str, trained_on: Sequence[Store], settings: EvaluateSection, storage: StorageConfig
) -> int:
    """Look for the photographs among the training rows that `prepare_photos.py` wrote to each `trained_on`.

    Pictures are compared, not files: by the difference hash, at the distance within which preparation leaves
    a photograph out as a duplicate. Returns how many photographs were compared; unreadable ones are skipped,
    for the evaluation counts and names them. Raises ConfigError where one was trained on, or where there are
    no photographs or no training rows.
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
    for store in trained_on:
        rows = _training_rows(store)
        pairs = _near(_numbers(hashes), _numbers(rows["phash"].to_pylist()), PhotosConfig().hash_distance)
        if pairs:
            first, row = pairs[0]
            raise ConfigError(
                f"{len(pairs)} of the {len(keys)} photographs in {photos} were trained on, such as "
                f"{keys[first]} ({rows['key'][row].as_py()} in {store.uri}); remove these photographs"
            )
    return len(keys)


def _training_rows(store: Store) -> pa.Table:
    """Key and hash of the rows of the split "train"."""
    store.check_readable()
    table = read_parts(store, list_parts(store), ["key", "split", "phash"])
    return table.filter(pa.compute.equal(table["split"], "train"))


def _numbers(hashes: list[bytes]) -> U64:
    return np.frombuffer(b"".join(hashes), dtype=np.uint64).reshape(-1, 2)


def _near(some_N2: U64, others_M2: U64, distance: int) -> list[tuple[int, int]]:
    """Each of N hashes that lies within `distance` bits of one of M, with the nearest of these."""
    pairs = []
    for start in range(0, len(some_N2) if len(others_M2) else 0, _COMPARED_AT_ONCE):
        part = some_N2[start : start + _COMPARED_AT_ONCE, None]
        bits = np.bitwise_count(part ^ others_M2).sum(axis=-1, dtype=np.int64)
        nearest = bits.argmin(axis=1)
        close = np.flatnonzero(bits[np.arange(len(part)), nearest] <= distance)
        pairs += [(start + int(i), int(nearest[i])) for i in close]
    return pairs
