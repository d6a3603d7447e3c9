"""What people accepted: results that no later run replaces, whatever its model, settings or guides are."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.ledger.newest import newest_of_all_jobs
from pipeline.ledger.read import list_parts, stream_parts
from pipeline.plan.identities import hash_keys
from pipeline.records import Status
from pipeline.review.decisions import Decision, read_decisions, standing
from pipeline.storage import Store

_COLUMNS = ("key", "etag", "status", "finished_at", "output_sha256")


def read_accepted(out: Store) -> NDArray[np.int64]:
    """The identities (`hash_keys`) of images whose result somebody accepted, and that have this result still.

    A decision counts where the newest result that any ledger has for the source is the one that was looked
    at: of that version of the source, with that checksum. What a later run coloured anew nobody has accepted.

    Raises:
        DamagedLedgerPart, StorageError: a decision or a ledger part is damaged, or cannot be read.
    """
    accepted = {
        decision.key: decision
        for decision in standing(read_decisions(out)).values()
        if decision.verdict == "accept" and decision.output_sha256
    }
    if not accepted:
        return np.empty(0, np.int64)
    results = _results(out, accepted)
    kept = [result for result in results if _is_of(accepted[result["key"]], result)]
    return hash_keys((result["key"] for result in kept), (result["etag"] for result in kept))


def _results(out: Store, keys: Iterable[str]) -> list[dict[str, str]]:
    """The newest coloured row of each of these sources, of all job digests."""
    wanted = pa.array(list(keys), pa.string())
    tables = []
    for table in stream_parts(out, list_parts(out), _COLUMNS):
        coloured = table.filter(pc.equal(table["status"], str(Status.COLORIZED)))
        tables.append(coloured.filter(pc.is_in(coloured["key"], value_set=wanted)))
    if not tables:
        return []
    newest: list[dict[str, str]] = newest_of_all_jobs(pa.concat_tables(tables), ["key"]).to_pylist()
    return newest


def _is_of(decision: Decision, result: dict[str, str]) -> bool:
    return (decision.etag, decision.output_sha256) == (result["etag"], result["output_sha256"])
