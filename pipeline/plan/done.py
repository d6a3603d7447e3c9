"""What is done already: the ledger's rows as sorted arrays of 64-bit identities.

An image is done when the ledger has its key and ETag under the present job digest, and the row that counts
names the guide that the image has now, or none where it has none. A Python set of strings needs over 100
bytes a key, the sorted array eight; guides and repeated tries are few, and stand in dictionaries.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.errors import StorageError
from pipeline.records import LEDGER_SCHEMA, Status
from pipeline.storage import Store

_STATUSES = [str(status) for status in Status]
_FAILED = _STATUSES.index(Status.FAILED)
_THREADS = 16
# The whole part's schema, so that a part from before a column existed reads as nulls.
_COLUMNS = ("key", "etag", "status", "attempts", "finished_at", "guide_digest")
_SCHEMA = pa.schema([LEDGER_SCHEMA.field(name) for name in _COLUMNS])


def digests(texts: Iterable[bytes]) -> NDArray[np.int64]:
    """BLAKE2b-64 of each text as int64; among 100 million texts two meet with a chance of 0.03 %."""
    joined = b"".join(hashlib.blake2b(text, digest_size=8).digest() for text in texts)
    return np.frombuffer(joined, "<i8").astype(np.int64, copy=False)


def hash_keys(keys: Iterable[str], etags: Iterable[str]) -> NDArray[np.int64]:
    """The identity of each version of a source object, from its key and ETag."""
    return digests(f"{key}\0{etag}".encode() for key, etag in zip(keys, etags, strict=True))


@dataclass(frozen=True)
class DoneSet:
    """A set of identities: int64, ascending, unique."""

    hashes: NDArray[np.int64]

    def contains(self, hashes: NDArray[np.int64]) -> NDArray[np.bool_]:
        """For each hash whether it is in the set."""
        return self.positions(hashes) >= 0

    def positions(self, hashes: NDArray[np.int64]) -> NDArray[np.int64]:
        """For each hash its index in the set, -1 where it is not in it."""
        if not len(self.hashes):
            return np.full(len(hashes), -1, np.int64)
        at = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        return np.where(self.hashes[at] == hashes, at, -1)


@dataclass(frozen=True)
class Done:
    """The done-set with each member's status (index into `Status`), and what is to be tried again."""

    done: DoneSet
    codes: NDArray[np.int8]
    #: identity -> attempts so far: of failed images that are not done because they are to be retried, and of
    #: all others that were tried more than once
    attempts: dict[int, int] = field(default_factory=dict)
    #: identity -> digest of the guide that its result was made with; results without one are not in it
    guides: dict[int, str] = field(default_factory=dict)

    def statuses(self, hashes: NDArray[np.int64]) -> NDArray[np.int8]:
        """For each hash the status code of its row, -1 where it is not done."""
        at = self.done.positions(hashes)
        if not len(self.codes):
            return np.full(len(hashes), -1, np.int8)
        return np.where(at >= 0, self.codes[at], np.int8(-1))

    def otherwise_guided(self, hashes: NDArray[np.int64], wanted: Mapping[int, str]) -> NDArray[np.int64]:
        """Indices of the hashes whose result, if they have one, was made with another guide than now wanted.

        Args:
            wanted: index -> guide digest, of those that have a guide.
        """
        changed = [i for i, digest in wanted.items() if self.guides.get(int(hashes[i])) != digest]
        if self.guides:
            had = np.flatnonzero(np.isin(hashes, np.fromiter(self.guides, np.int64, len(self.guides))))
            changed += [i for i in had.tolist() if i not in wanted]
        return np.array(sorted(changed), np.int64)

    def tried(self, hashes: NDArray[np.int64]) -> list[int]:
        """For each hash how often earlier runs tried this image."""
        once: list[int] = self.done.contains(hashes).astype(int).tolist()
        if not self.attempts:
            return once
        return [self.attempts.get(h, least) for h, least in zip(hashes.tolist(), once, strict=True)]


class _Guided(NamedTuple):
    """A row whose image had a guide."""

    hash: int
    attempts: int
    finished_at: int
    digest: str


class _Rows(NamedTuple):
    """The columns of one or many ledger parts, and those of their rows that name a guide."""

    hashes: NDArray[np.int64]
    codes: NDArray[np.int8]
    attempts: NDArray[np.int32]
    finished_at: NDArray[np.int64]
    guided: list[_Guided]


def read_done(out: Store, job_digest: str, *, retry_failed: bool) -> Done:
    """What all ledger parts of one job digest say.

    Of several rows for one identity that with most attempts counts, then the latest. With `retry_failed`
    failed images are not done.

    Raises:
        StorageError: the ledger cannot be listed, or a part not be read.
    """
    parts = [found.key for found in out.list(f"ledger/{job_digest}/") if found.key.endswith(".parquet")]
    with ThreadPoolExecutor(_THREADS) as pool:
        read = list(pool.map(lambda key: _read_part(out, key), parts))
    if not read:
        return Done(DoneSet(np.empty(0, np.int64)), np.empty(0, np.int8))
    rows = _latest(_joined(read))
    retried = (rows.codes == _FAILED) & retry_failed
    told = retried | (rows.attempts > 1)
    attempts = dict(zip(rows.hashes[told].tolist(), rows.attempts[told].tolist(), strict=True))
    return Done(DoneSet(rows.hashes[~retried]), rows.codes[~retried], attempts, _guides(rows))


def _read_part(out: Store, key: str) -> _Rows:
    data = out.get(key).data
    try:
        table = pq.read_table(io.BytesIO(data), columns=list(_COLUMNS), schema=_SCHEMA)
        codes = [_STATUSES.index(status) for status in table["status"].to_pylist()]
        hashes = hash_keys(table["key"].to_pylist(), table["etag"].to_pylist())
    except (pa.ArrowException, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise StorageError(
            f"the ledger part {key} in {out.uri} cannot be read ({reason}); remove it to do its images again"
        ) from None
    finished, attempts = table["finished_at"].cast(pa.int64()).to_numpy(), table["attempts"].to_numpy()
    digests_ = table["guide_digest"]
    guided = [
        _Guided(int(hashes[i]), int(attempts[i]), int(finished[i]), digests_[i].as_py())
        for i in np.flatnonzero(digests_.is_valid()).tolist()
    ]
    return _Rows(hashes, np.array(codes, np.int8), attempts, finished, guided)


def _joined(parts: list[_Rows]) -> _Rows:
    return _Rows(
        np.concatenate([part.hashes for part in parts]),
        np.concatenate([part.codes for part in parts]),
        np.concatenate([part.attempts for part in parts]),
        np.concatenate([part.finished_at for part in parts]),
        [row for part in parts for row in part.guided],
    )


def _latest(rows: _Rows) -> _Rows:
    """One row per identity, by ascending identity; `guided` stays as it is."""
    order = np.lexsort((rows.finished_at, rows.attempts, rows.hashes))
    hashes = rows.hashes[order]
    last = order[np.append(hashes[1:] != hashes[:-1], True)] if len(order) else order
    return _Rows(
        hashes=rows.hashes[last],
        codes=rows.codes[last],
        attempts=rows.attempts[last],
        finished_at=rows.finished_at[last],
        guided=rows.guided,
    )


def _guides(latest: _Rows) -> dict[int, str]:
    """By identity the guide digests of the rows that count."""
    if not latest.guided:
        return {}
    at = DoneSet(latest.hashes).positions(np.array([row.hash for row in latest.guided], np.int64)).tolist()
    return {
        row.hash: row.digest
        for row, i in zip(latest.guided, at, strict=True)
        if (latest.attempts[i], latest.finished_at[i]) == (row.attempts, row.finished_at)
    }
