"""What other models have coloured with the present settings: keep it, or colour it again.

The job digest covers the weights, so a new model has an empty ledger. Each row states its method and weights.
If the present settings with those weights give a ledger's digest, that ledger differs only in the model.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config.job import JobConfig, job_digest
from pipeline.ledger.newest import newest_of_all_jobs
from pipeline.ledger.read import read_part
from pipeline.plan.done import DoneImages, guides_of
from pipeline.plan.identities import IdentitySet
from pipeline.plan.ledger_rows import ROWS_SCHEMA, STATUSES, LedgerRows
from pipeline.records import Status
from pipeline.storage import Store

_COLORIZED = STATUSES.index(Status.COLORIZED)
_UNDONE = pa.array([STATUSES.index(Status.FAILED), STATUSES.index(Status.ARCHIVED)], pa.int8())
_GONE = pa.array([STATUSES.index(Status.REJECTED), STATUSES.index(Status.SUPERSEDED)], pa.int8())


def read_other_models(out: Store, ledger: LedgerRows, config: JobConfig, digest: str) -> pa.Table:
    """ROWS_SCHEMA by ascending identity: for each, the row that counts in the ledgers of other models.

    Rows of failed and archived images are ignored, because what an earlier model delivered still exists.
    Images that were rejected or superseded since then are left out.

    Args:
        ledger: all rows; of each other job digest one part is read again, which says what made it.
        digest: the present job digest, whose own ledger is left out.

    Raises:
        DamagedLedgerPart: a part is damaged. StorageError: it cannot be read.
    """
    tables = [
        rows
        for other, rows in ledger.tables.items()
        if other != digest and _same_settings(out, config, other, ledger.parts(other))
    ]
    rows = pa.concat_tables([ROWS_SCHEMA.empty_table(), *tables]).combine_chunks()
    newest = newest_of_all_jobs(rows.filter(pc.invert(pc.is_in(rows["status"], _UNDONE))), ["identity"])
    return newest.filter(pc.invert(pc.is_in(newest["status"], _GONE)))


def with_other_models(done: DoneImages, others: pa.Table, *, keep: bool) -> DoneImages:
    """`done` with what other models did.

    Args:
        others: from `read_other_models`.
        keep: count as done what another model coloured or skipped and the present one has not tried.

    `DoneImages.others` are the images that are done because of that; with `keep` false those that another
    model coloured and the present one has not coloured since, which are to be coloured again.
    """
    hashes = others["identity"].to_numpy()
    known = np.isin(hashes, np.array([*done.attempts], np.int64))  # failed or archived, and tried again
    known |= done.identities.contains(hashes)
    if not keep:
        coloured = others["status"].to_numpy() == _COLORIZED
        return replace(done, others=hashes[coloured & ~_tried_since(done, others)])
    kept = others.filter(pa.array(~known))
    hashes = np.concatenate([done.identities.hashes, kept["identity"].to_numpy()])
    order = np.argsort(hashes)
    return replace(
        done,
        identities=IdentitySet(hashes[order]),
        codes=np.concatenate([done.codes, kept["status"].to_numpy()])[order],
        finished_at=np.concatenate([done.finished_at, kept["finished_at"].to_numpy()])[order],
        guides=guides_of(kept) | done.guides,
        others=kept["identity"].to_numpy(),
    )


def _tried_since(done: DoneImages, others: pa.Table) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """For each row, whether the present model has a later row or a failed one. Its status then reports that,
    and it is not retried because of another model."""
    at = done.identities.positions(others["identity"].to_numpy())
    if not len(done.codes):
        return np.zeros(len(at), bool)
    later = (done.finished_at[at] >= others["finished_at"].to_numpy()) | (done.codes[at] != _COLORIZED)
    return np.asarray((at >= 0) & later)


def _same_settings(out: Store, config: JobConfig, digest: str, parts: list[str]) -> bool:
    """Whether the ledger has these settings with other weights. One row without a guide decides, because a
    guide may name its own method; a ledger with only guided rows counts as having other settings."""
    for key in parts:
        table = read_part(out, key, ("method", "weights_digest", "guide_digest"))
        for row in table.to_pylist():
            if row["guide_digest"] is None:
                model = config.model.model_copy(update={"method": row["method"]})
                other = config.model_copy(update={"model": model})
                return job_digest(other, row["weights_digest"]) == digest
    return False
