"""What people decided: accepted results that no later run replaces, rejected images that stay out, and
corrections, which are guides of every later run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.ledger.newest import results_that_stand
from pipeline.ledger.read import list_parts, stream_parts
from pipeline.plan.identities import hash_keys
from pipeline.review.correction import Correction
from pipeline.review.decisions import Decision, read_decisions, standing
from pipeline.storage import Store

_COLUMNS = ("key", "etag", "status", "finished_at", "output_sha256", "output_key")
_GUIDE = ("correct", "gray")


@dataclass(frozen=True)
class Corrected:
    """What somebody wants changed in one version of a source.

    Attributes:
        correction: None: it is to stay gray.
        reference: key below OUT of the result that the correction names as its reference; None where it names
            none, or one that cannot lend its colours, as `problem` says.
    """

    key: str
    etag: str
    who: str
    correction: Correction | None
    reference: str | None = None
    problem: str | None = None


def _none() -> NDArray[np.int64]:
    return np.empty(0, np.int64)


@dataclass(frozen=True)
class Decided:
    """Identities (`hash_keys`) of images by what stands about them.

    An acceptance counts where the newest result that any ledger has for the source is the one that was looked
    at: of that version of the source, with that checksum. What a later run coloured anew nobody has accepted.
    A rejection counts for the version of the source, whatever its result.

    `corrections`, by source key: of each version of the source the newest correction, or wish for gray, that
    nobody took back. An acceptance that came later is one of the corrected result, and leaves it as it is.
    `taken_back`: versions of sources that had one and have none now.
    """

    accepted: NDArray[np.int64]
    rejected: NDArray[np.int64]
    corrections: Mapping[str, Sequence[Corrected]] = field(default_factory=dict)
    taken_back: NDArray[np.int64] = field(default_factory=_none)


def read_decided(out: Store) -> Decided:
    """What OUT/decisions/ says about images.

    Raises:
        DamagedLedgerPart, StorageError: a decision or a ledger part is damaged, or cannot be read.
    """
    decisions = read_decisions(out)
    by_key = standing(decisions)
    accepted = {key: one for key, one in by_key.items() if one.verdict == "accept" and one.output_sha256}
    rejected = [decision for decision in by_key.values() if decision.verdict == "reject"]
    guides, taken_back = _guides(decisions)
    references = {one.correction.reference for one in guides.values() if one.correction}
    results = _results(out, {*accepted, *(key for key in references if key is not None)})
    kept = [key for key, decision in accepted.items() if key in results and _is_of(decision, results[key])]
    corrections, next_of = defaultdict[str, list[Corrected]](list), _references(guides.values())
    for decision in guides.values():
        corrections[decision.key].append(_corrected(decision, next_of, results))
    return Decided(
        accepted=hash_keys(kept, (results[key]["etag"] for key in kept)),
        rejected=hash_keys((one.key for one in rejected), (one.etag for one in rejected)),
        corrections=corrections,
        taken_back=hash_keys((key for key, _ in taken_back), (etag for _, etag in taken_back)),
    )


_Guides = Mapping[tuple[str, str], Decision]


def _guides(decisions: Sequence[Decision]) -> tuple[_Guides, Sequence[tuple[str, str]]]:
    """By key and ETag the newest correction or wish for gray that nobody took back; and where there was one.

    Args:
        decisions: by time.
    """
    undone = {decision.undoes for decision in decisions}
    all_guides = [decision for decision in decisions if decision.verdict in _GUIDE]
    guides = {(one.key, one.etag): one for one in all_guides if one.id not in undone}
    had = dict.fromkeys((one.key, one.etag) for one in all_guides)
    return guides, [version for version in had if version not in guides]


def _references(guides: Iterable[Decision]) -> dict[str, str]:
    """By source key the reference that its correction names."""
    named = ((one.key, one.correction.reference) for one in guides if one.correction is not None)
    return {key: reference for key, reference in named if reference is not None}


def _corrected(
    decision: Decision, next_of: Mapping[str, str], results: Mapping[str, dict[str, str]]
) -> Corrected:
    of = (decision.key, decision.etag, decision.who)
    name = None if decision.correction is None else decision.correction.reference
    if name is None:
        return Corrected(*of, decision.correction)
    if name not in results:
        return Corrected(*of, decision.correction, problem=f"its reference {name!r} has no result")
    if _in_circle(decision.key, name, next_of):
        problem = f"its reference {name!r} is coloured after this image itself"
        return Corrected(*of, decision.correction, problem=problem)
    return Corrected(*of, decision.correction, results[name]["output_key"])


def _in_circle(key: str, reference: str, next_of: Mapping[str, str]) -> bool:
    """Whether a chain of references that begins at one image comes to itself: each run would change both."""
    seen, at = {key}, reference
    while at not in seen and at in next_of:
        seen.add(at)
        at = next_of[at]
    return at == key


def _results(out: Store, keys: Iterable[str]) -> dict[str, dict[str, str]]:
    """By source key the row of the result that stands, of all job digests."""
    wanted = pa.array(list(keys), pa.string())
    if not len(wanted):
        return {}
    tables = [
        table.filter(pc.is_in(table["key"], value_set=wanted))
        for table in stream_parts(out, list_parts(out), _COLUMNS)
    ]
    if not tables:
        return {}
    return {row["key"]: row for row in results_that_stand(pa.concat_tables(tables)).to_pylist()}


def _is_of(decision: Decision, result: dict[str, str]) -> bool:
    return (decision.etag, decision.output_sha256) == (result["etag"], result["output_sha256"])
