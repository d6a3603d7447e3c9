"""What other models have coloured with the present settings: to be kept, or to be coloured again.

The job digest covers the weights, so that a new model has an empty ledger. Rows say by which method and
weights they were made: a ledger whose digest is that of the present settings with those weights differs in
the model alone.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np

from pipeline.config.job import JobConfig, job_digest
from pipeline.ledger.read import read_columns
from pipeline.plan.done import Done, DoneSet, guides_of, last_of_each
from pipeline.plan.ledger_rows import STATUSES, Rows, read_rows
from pipeline.records import Status
from pipeline.storage import Store

_COLORIZED = STATUSES.index(Status.COLORIZED)
_FAILED = STATUSES.index(Status.FAILED)


def read_others(out: Store, config: JobConfig, digest: str) -> Rows:
    """The latest row of each identity in the ledgers of other models, by ascending identity. Failures are
    left out: what an earlier model delivered is still there after one.

    Args:
        digest: the present job digest, whose own ledger is left out.

    Raises:
        StorageError: the ledgers cannot be listed, or a part not be read.
    """
    ledgers: dict[str, list[str]] = defaultdict(list)
    for found in out.list("ledger/"):
        if found.key.endswith(".parquet"):
            ledgers[found.key.split("/")[1]].append(found.key)
    ledgers.pop(digest, None)
    parts = [key for name, keys in ledgers.items() if _same_settings(out, config, name, keys) for key in keys]
    rows = read_rows(out, parts)
    rows = rows.take(rows.codes != _FAILED)
    return last_of_each(rows, np.lexsort((rows.attempts, rows.finished_at, rows.hashes)))


def with_others(done: Done, others: Rows, *, keep: bool) -> Done:
    """`done` with what other models did.

    Args:
        keep: what another model coloured or skipped, and the present one has not tried, is done.

    `Done.others` are the images that are done because of that; with `keep` false those that another model
    coloured and the present one has not coloured since, which are to be coloured again.
    """
    known = np.isin(others.hashes, np.array([*done.attempts], np.int64))  # failed ones that are tried again
    known |= done.done.contains(others.hashes)
    if not keep:
        return replace(done, others=others.hashes[(others.codes == _COLORIZED) & ~_since(done, others)])
    kept = others.take(~known)
    hashes = np.concatenate([done.done.hashes, kept.hashes])
    order = np.argsort(hashes)
    return replace(
        done,
        done=DoneSet(hashes[order]),
        codes=np.concatenate([done.codes, kept.codes])[order],
        finished_at=np.concatenate([done.finished_at, kept.finished_at])[order],
        guides=_guides(kept) | done.guides,
        others=kept.hashes,
    )


def _since(done: Done, others: Rows) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """For each row whether the present model has a later one, or one that failed: that is told by its status,
    and not tried again for another model's sake."""
    at = done.done.positions(others.hashes)
    if not len(done.codes):
        return np.zeros(len(at), bool)
    later = (done.finished_at[at] >= others.finished_at) | (done.codes[at] != _COLORIZED)
    return np.asarray((at >= 0) & later)


def _guides(kept: Rows) -> dict[int, str]:
    members = DoneSet(kept.hashes)
    asked = np.array([row.hash for row in kept.guided], np.int64)
    inside = members.contains(asked).tolist()
    guided = [row for row, found in zip(kept.guided, inside, strict=True) if found]
    return guides_of(kept._replace(guided=guided))


def _same_settings(out: Store, config: JobConfig, digest: str, parts: list[str]) -> bool:
    """Whether the ledger is of these settings with other weights. One row decides that had no guide, for a
    guide may name a method of its own; a ledger of nothing else counts as of other settings."""
    for key in parts:
        table = read_columns(out, key, ("method", "weights_digest", "guide_digest"))
        for row in table.to_pylist():
            if row["guide_digest"] is None:
                model = config.model.model_copy(update={"method": row["method"]})
                other = config.model_copy(update={"model": model})
                return job_digest(other, row["weights_digest"]) == digest
    return False
