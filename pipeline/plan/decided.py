"""What people decided: accepted results that no later run replaces, and rejected images that stay out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

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

_SAY_WHAT_STANDS = pa.array([str(Status.COLORIZED), str(Status.REJECTED)])
_COLUMNS = ("key", "etag", "status", "finished_at", "output_sha256")


@dataclass(frozen=True)
class Decided:
    """Identities (`hash_keys`) of images by what stands about them.

    An acceptance counts where the newest result that any ledger has for the source is the one that was looked
    at: of that version of the source, with that checksum. What a later run coloured anew nobody has accepted.
    A rejection counts for the version of the source, whatever its result.
    """

    accepted: NDArray[np.int64]
    rejected: NDArray[np.int64]


def read_decided(out: Store) -> Decided:
    """What OUT/decisions/ says about images.

    Raises:
        DamagedLedgerPart, StorageError: a decision or a ledger part is damaged, or cannot be read.
    """
    decisions = standing(read_decisions(out))
    rejected = [decision for decision in decisions.values() if decision.verdict == "reject"]
    return Decided(
        accepted=_accepted(out, decisions),
        rejected=hash_keys((one.key for one in rejected), (one.etag for one in rejected)),
    )


def _accepted(out: Store, decisions: Mapping[str, Decision]) -> NDArray[np.int64]:
    accepted = {
        key: decision
        for key, decision in decisions.items()
        if decision.verdict == "accept" and decision.output_sha256
    }
    if not accepted:
        return np.empty(0, np.int64)
    results = _results(out, accepted)
    kept = [result for result in results if _is_of(accepted[result["key"]], result)]
    return hash_keys((result["key"] for result in kept), (result["etag"] for result in kept))


def _results(out: Store, keys: Iterable[str]) -> list[dict[str, str]]:
    """The newest coloured row of each source, of all job digests; none where it was rejected since."""
    wanted = pa.array(list(keys), pa.string())
    tables = []
    for table in stream_parts(out, list_parts(out), _COLUMNS):
        rows = table.filter(pc.is_in(table["key"], value_set=wanted))
        tables.append(rows.filter(pc.is_in(rows["status"], value_set=_SAY_WHAT_STANDS)))
    if not tables:
        return []
    newest = newest_of_all_jobs(pa.concat_tables(tables), ["key"])
    results: list[dict[str, str]] = newest.filter(
        pc.equal(newest["status"], str(Status.COLORIZED))
    ).to_pylist()
    return results


def _is_of(decision: Decision, result: dict[str, str]) -> bool:
    return (decision.etag, decision.output_sha256) == (result["etag"], result["output_sha256"])
