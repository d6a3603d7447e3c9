"""What is done already: the ledger's rows as sorted arrays of 64-bit identities.

An image is done when the ledger has its key and ETag under the present job digest, and the row that counts
names the guide that the image has now, or none where it has none; what other models did, `others` brings in.
A Python set of strings needs over 100 bytes a key, the sorted array eight; guides and repeated tries are few,
and stand in dictionaries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.plan.ledger_rows import STATUSES, Rows, read_rows
from pipeline.records import Status
from pipeline.storage import Store

_FAILED = STATUSES.index(Status.FAILED)


def _none() -> NDArray[np.int64]:
    return np.empty(0, np.int64)


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
    #: of each member, microseconds since 1970
    finished_at: NDArray[np.int64] = field(default_factory=_none)
    #: identities of images that another model coloured last; ascending
    others: NDArray[np.int64] = field(default_factory=_none)

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


def read_done(out: Store, job_digest: str, *, retry_failed: bool) -> Done:
    """What all ledger parts of one job digest say.

    Of several rows for one identity that with most attempts counts, then the latest. With `retry_failed`
    failed images are not done.

    Raises:
        StorageError: the ledger cannot be listed, or a part not be read.
    """
    parts = [found.key for found in out.list(f"ledger/{job_digest}/") if found.key.endswith(".parquet")]
    read = read_rows(out, parts)
    rows = last_of_each(read, np.lexsort((read.finished_at, read.attempts, read.hashes)))
    retried = (rows.codes == _FAILED) & retry_failed
    told = retried | (rows.attempts > 1)
    attempts = dict(zip(rows.hashes[told].tolist(), rows.attempts[told].tolist(), strict=True))
    done = rows.take(~retried)
    return Done(DoneSet(done.hashes), done.codes, attempts, guides_of(rows), done.finished_at)


def last_of_each(rows: Rows, order: NDArray[np.int64]) -> Rows:
    """One row per identity, by ascending identity: the last in `order`, which sorts by identity first."""
    hashes = rows.hashes[order]
    return rows.take(order[np.append(hashes[1:] != hashes[:-1], True)] if len(order) else order)


def guides_of(rows: Rows) -> dict[int, str]:
    """By identity the guide digests of `rows`, which has one row per identity, by ascending identity."""
    if not rows.guided:
        return {}
    at = DoneSet(rows.hashes).positions(np.array([row.hash for row in rows.guided], np.int64)).tolist()
    return {
        row.hash: row.digest
        for row, i in zip(rows.guided, at, strict=True)
        if (rows.attempts[i], rows.finished_at[i]) == (row.attempts, row.finished_at)
    }
