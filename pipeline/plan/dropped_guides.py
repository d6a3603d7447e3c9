"""Detect guides that a run would drop: it must not silently undo what somebody did by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.cli.counts import counted
from pipeline.errors import ConfigError
from pipeline.ledger.keys import DECISIONS, GALLERY
from pipeline.ledger.newest import newest_in_job, newest_of_all_jobs
from pipeline.ledger.read import list_parts, read_part
from pipeline.plan.ledger_rows import STATUSES, LedgerRows
from pipeline.records import Status
from pipeline.storage import Store

_COLORIZED = STATUSES.index(Status.COLORIZED)
_NAMED = 3  # keys in the message
_PICTURES = "borrowed"  # the method that uses the colours of other tools' pictures


def guided_images(ledger: LedgerRows) -> NDArray[np.int64]:
    """Identities of images whose newest coloured result, of any job digest, has a guide; ascending."""
    coloured = [rows.filter(pc.equal(rows["status"], _COLORIZED)) for rows in ledger.tables.values()]
    all_guided = [rows.filter(pc.is_valid(rows["guide_digest"]))["identity"].to_numpy() for rows in coloured]
    ever = np.unique(np.concatenate([np.empty(0, np.int64), *all_guided]))
    if not len(ever):
        return ever
    theirs = [rows.filter(pa.array(np.isin(rows["identity"].to_numpy(), ever))) for rows in coloured]
    of_jobs = pa.concat_tables([newest_in_job(rows, ["identity"]) for rows in theirs]).combine_chunks()
    newest = newest_of_all_jobs(of_jobs, ["identity"])
    guided: NDArray[np.int64] = newest.filter(pc.is_valid(newest["guide_digest"]))["identity"].to_numpy()
    return guided


def refuse_dropped_guides(
    out: Store, keys: Sequence[str], hashes: NDArray[np.int64], guided: NDArray[np.int64]
) -> None:
    """Refuse to colour an image without a guide if its last result used one.

    Args:
        keys, hashes: of the images to colour without a guide, in key order; hashes from `hash_keys`.
        guided: from `guided_images`.

    Raises:
        ConfigError: the newest result of some of them, of any job digest, has a guide. The message says how
            to drop it on purpose.
        DamagedLedgerPart, StorageError: the ledger cannot be read.
    """
    dropped = [keys[i] for i in np.flatnonzero(np.isin(hashes, guided)).tolist()]
    if dropped:
        named = ", ".join(repr(key) for key in dropped[:_NAMED]) + (", ..." if len(dropped) > _NAMED else "")
        raise ConfigError(
            f"{counted(len(dropped), 'image')} that had guides or corrections would now be coloured without "
            f"them: {named}; {_advice(out, dropped)}; or give --drop-guides to drop them"
        )


def _advice(out: Store, dropped: Sequence[str]) -> str:
    """How to colour these keys as before, mentioning only the kinds of guide that they had."""
    methods = set[str]()
    for part in list_parts(out):
        rows = read_part(out, part, ("key", "method", "guide_digest"))
        theirs = pc.and_(
            pc.is_in(rows["key"], value_set=pa.array(dropped)), pc.is_valid(rows["guide_digest"])
        )
        methods.update(rows.filter(theirs)["method"].to_pylist())
    ways = []
    if methods - {_PICTURES}:
        ways.append("give --guides with the file that you used before")
        if out.exists(f"{GALLERY}index.html") or any(True for _ in out.list(DECISIONS)):
            ways.append(f"restore OUT/{DECISIONS.rstrip('/')} if people corrected them in the gallery")
    if _PICTURES in methods:
        ways.append("set model.pictures to the folder that you used before")
    return "; ".join(ways)
