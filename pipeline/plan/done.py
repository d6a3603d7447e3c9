"""What is already done: the ledger's rows as sorted arrays of 64-bit identities.

An image is done when the ledger has its key and ETag under the present job digest, and the row that counts
names the image's present guide, or no guide if the image has none; `other_models` adds what other models did.
An archived image is not done: the next run tries it again and colours it once it is restored. An image that
failed because of the storage is done until it can be read again (`failed_reads`). Guides and retries are few
and are kept in dictionaries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.ledger.newest import newest_in_job
from pipeline.plan.identities import IdentitySet
from pipeline.plan.ledger_rows import STATUSES
from pipeline.records import Status

_FAILED = STATUSES.index(Status.FAILED)
_NEVER = [STATUSES.index(status) for status in (Status.ARCHIVED, Status.REJECTED, Status.SUPERSEDED)]


def _none() -> NDArray[np.int64]:
    return np.empty(0, np.int64)


@dataclass(frozen=True)
class DoneImages:
    """The identities of images that are done, each one's status (index into `Status`), and retries."""

    identities: IdentitySet
    codes: NDArray[np.int8]
    #: identity -> attempts so far: of images that are not done because they failed and are to be retried, or
    #: because they were archived, and of all others that were tried more than once
    attempts: dict[int, int] = field(default_factory=dict)
    #: identity -> digest of the guide that its result was made with; results without one are not in it
    guides: dict[int, str] = field(default_factory=dict)
    #: of each member, microseconds since 1970
    finished_at: NDArray[np.int64] = field(default_factory=_none)
    #: identities of images that another model coloured last; ascending
    others: NDArray[np.int64] = field(default_factory=_none)
    #: identities of members that failed because the storage did; ascending
    storage_failed: NDArray[np.int64] = field(default_factory=_none)

    def statuses(self, hashes: NDArray[np.int64]) -> NDArray[np.int8]:
        """The status code of the row for each hash; -1 if it is not done."""
        at = self.identities.positions(hashes)
        if not len(self.codes):
            return np.full(len(hashes), -1, np.int8)
        return np.where(at >= 0, self.codes[at], np.int8(-1))

    def otherwise_guided(self, hashes: NDArray[np.int64], wanted: Mapping[int, str]) -> NDArray[np.int64]:
        """Indices of hashes that have a result made with a different guide than the one now wanted.

        Args:
            wanted: index -> guide digest, of those that have a guide.
        """
        changed = [i for i, digest in wanted.items() if self.guides.get(int(hashes[i])) != digest]
        if self.guides:
            had = np.flatnonzero(np.isin(hashes, np.fromiter(self.guides, np.int64, len(self.guides))))
            changed += [i for i in had.tolist() if i not in wanted]
        return np.array(sorted(changed), np.int64)

    def tried(self, hashes: NDArray[np.int64]) -> NDArray[np.int32]:
        """How often earlier runs tried the image of each hash."""
        tried = self.identities.contains(hashes).astype(np.int32)
        if self.attempts:
            counted = np.flatnonzero(
                np.isin(hashes, np.fromiter(self.attempts, np.int64, len(self.attempts)))
            )
            tried[counted] = [self.attempts[h] for h in hashes[counted].tolist()]
        return tried


def done_images(rows: pa.Table, *, retry_failed: bool) -> DoneImages:
    """The images done by the ledger rows of one job digest (ROWS_SCHEMA, in the order of their parts).

    Of several rows for one identity, the one that `newest_in_job` selects counts. With `retry_failed`, failed
    images are not done. Archived images are never done, nor are superseded images whose files are gone. A
    rejected row does not make an image done, because the rejection may have been undone.
    """
    rows = newest_in_job(rows, ["identity"])
    hashes, attempts = rows["identity"].to_numpy(), rows["attempts"].to_numpy()
    statuses = rows["status"].to_numpy()
    retried = ((statuses == _FAILED) & retry_failed) | np.isin(statuses, _NEVER)
    counted = retried | (attempts > 1)
    done = rows.filter(pa.array(~retried))
    return DoneImages(
        identities=IdentitySet(done["identity"].to_numpy()),
        codes=done["status"].to_numpy(),
        attempts=dict(zip(hashes[counted].tolist(), attempts[counted].tolist(), strict=True)),
        guides=guides_of(rows),
        finished_at=done["finished_at"].to_numpy(),
        storage_failed=done.filter(done["storage_failed"])["identity"].to_numpy(),
    )


def guides_of(rows: pa.Table) -> dict[int, str]:
    """By identity the guide digests of ROWS_SCHEMA rows, which has one row per identity."""
    guided = rows.filter(pc.is_valid(rows["guide_digest"]))
    return dict(zip(guided["identity"].to_pylist(), guided["guide_digest"].to_pylist(), strict=True))
