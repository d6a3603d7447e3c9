"""The rows of ledger parts, as arrays of what a plan must know of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.ledger.read import read_columns, unreadable
from pipeline.records import Status
from pipeline.storage import Store

STATUSES = [str(status) for status in Status]
"""A status's code is its place in here."""
_THREADS = 16
_COLUMNS = ("key", "etag", "status", "attempts", "finished_at", "guide_digest")


class GuidedRow(NamedTuple):
    """A row whose image had a guide."""

    hash: int
    attempts: int
    finished_at: int
    digest: str


class Rows(NamedTuple):
    """Of one or many ledger parts: identities, indices into `STATUSES`, attempts, microseconds since 1970,
    and those rows that name a guide."""

    hashes: NDArray[np.int64]
    codes: NDArray[np.int8]
    attempts: NDArray[np.int32]
    finished_at: NDArray[np.int64]
    guided: list[GuidedRow]

    def take(self, order: NDArray[np.int64] | NDArray[np.bool_]) -> Rows:
        """Some of the rows, by index or by mask; `guided` stays as it is."""
        return Rows(
            hashes=self.hashes[order],
            codes=self.codes[order],
            attempts=self.attempts[order],
            finished_at=self.finished_at[order],
            guided=self.guided,
        )


def digests(texts: Iterable[bytes]) -> NDArray[np.int64]:
    """BLAKE2b-64 of each text as int64; among 100 million texts two meet with a chance of 0.03 %."""
    joined = b"".join(hashlib.blake2b(text, digest_size=8).digest() for text in texts)
    return np.frombuffer(joined, "<i8").astype(np.int64, copy=False)


def hash_keys(keys: Iterable[str], etags: Iterable[str]) -> NDArray[np.int64]:
    """The identity of each version of a source object, from its key and ETag."""
    return digests(f"{key}\0{etag}".encode() for key, etag in zip(keys, etags, strict=True))


def read_rows(out: Store, parts: Sequence[str]) -> Rows:
    """All rows of the ledger parts under these keys, in any order. Raises StorageError as `read_columns`."""
    with ThreadPoolExecutor(_THREADS) as pool:
        read = [_NONE, *pool.map(lambda key: _read_part(out, key), parts)]
    return Rows(
        hashes=np.concatenate([part.hashes for part in read]),
        codes=np.concatenate([part.codes for part in read]),
        attempts=np.concatenate([part.attempts for part in read]),
        finished_at=np.concatenate([part.finished_at for part in read]),
        guided=[row for part in read for row in part.guided],
    )


_NONE = Rows(np.empty(0, np.int64), np.empty(0, np.int8), np.empty(0, np.int32), np.empty(0, np.int64), [])


def _read_part(out: Store, key: str) -> Rows:
    table = read_columns(out, key, _COLUMNS)
    try:
        codes = [STATUSES.index(status) for status in table["status"].to_pylist()]
        hashes = hash_keys(table["key"].to_pylist(), table["etag"].to_pylist())
    except ValueError as error:
        raise unreadable(out, key, error) from None
    finished, attempts = table["finished_at"].cast(pa.int64()).to_numpy(), table["attempts"].to_numpy()
    guides = table["guide_digest"]
    guided = [
        GuidedRow(int(hashes[i]), int(attempts[i]), int(finished[i]), guides[i].as_py())
        for i in np.flatnonzero(guides.is_valid()).tolist()
    ]
    return Rows(hashes, np.array(codes, np.int8), attempts, finished, guided)
