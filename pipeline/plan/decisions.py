"""People's decisions: accepted results that no later run replaces, rejected images that stay rejected, and
corrections, which guide every later run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.ledger.newest import current_results
from pipeline.ledger.read import list_parts, stream_parts
from pipeline.plan.identities import hash_keys
from pipeline.review.correction import Correction
from pipeline.review.decisions import Decision, current_decisions, read_decisions
from pipeline.storage import Store

_COLUMNS = ("key", "etag", "status", "finished_at", "output_sha256", "output_key")
_GUIDE = ("correct", "gray")


@dataclass(frozen=True)
class ImageCorrection:
    """What somebody wants changed in the result of one version of a source.

    Attributes:
        correction: None if the image should stay gray.
        reference: key below OUT of the result that the correction names as its reference; None if it names
            none, or one that cannot be used, as `problem` says.
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
class DecisionIndex:
    """Identities (`hash_keys`) of images by the current decision about them.

    An acceptance counts if the newest result of the source in any ledger is the one that the person saw: the
    same version of the source and the same checksum. If a later run coloured the source again, nobody has
    accepted the new result. A rejection counts for that version of the source, whatever its result is.

    `corrections`, by source key: for each version of the source, the newest correction or request for gray
    that was not undone. A later acceptance is about the corrected result and does not change it.
    `taken_back`: versions of sources whose correction was undone.
    """

    accepted: NDArray[np.int64]
    rejected: NDArray[np.int64]
    corrections: Mapping[str, Sequence[ImageCorrection]] = field(default_factory=dict)
    taken_back: NDArray[np.int64] = field(default_factory=_none)


def read_decided(out: Store) -> DecisionIndex:
    """Read the decisions about images in OUT/decisions/.

    Raises:
        DamagedLedgerPart, StorageError: a decision or a ledger part is damaged, or cannot be read.
    """
    decisions = read_decisions(out)
    by_key = current_decisions(decisions)
    accepted = {key: one for key, one in by_key.items() if one.verdict == "accept" and one.output_sha256}
    rejected = [decision for decision in by_key.values() if decision.verdict == "reject"]
    guides, taken_back = _guides(decisions)
    references = {one.correction.reference for one in guides.values() if one.correction}
    results = _results(out, {*accepted, *(key for key in references if key is not None)})
    kept = [key for key, decision in accepted.items() if key in results and _is_of(decision, results[key])]
    corrections, next_of = defaultdict[str, list[ImageCorrection]](list), _references(guides.values())
    for decision in guides.values():
        corrections[decision.key].append(_corrected(decision, next_of, results))
    return DecisionIndex(
        accepted=hash_keys(kept, (results[key]["etag"] for key in kept)),
        rejected=hash_keys((one.key for one in rejected), (one.etag for one in rejected)),
        corrections=corrections,
        taken_back=hash_keys((key for key, _ in taken_back), (etag for _, etag in taken_back)),
    )


_Guides = Mapping[tuple[str, str], Decision]


def _guides(decisions: Sequence[Decision]) -> tuple[_Guides, Sequence[tuple[str, str]]]:
    """By key and ETag, the newest correction or request for gray that was not undone; and which ones had one.

    Args:
        decisions: sorted by time.
    """
    undone = {decision.undoes for decision in decisions}
    all_guides = [decision for decision in decisions if decision.verdict in _GUIDE]
    guides = {(one.key, one.etag): one for one in all_guides if one.id not in undone}
    had = dict.fromkeys((one.key, one.etag) for one in all_guides)
    return guides, [version for version in had if version not in guides]


def _references(guides: Iterable[Decision]) -> dict[str, str]:
    """By source key, the reference that its correction names."""
    named = ((one.key, one.correction.reference) for one in guides if one.correction is not None)
    return {key: reference for key, reference in named if reference is not None}


def _corrected(
    decision: Decision, next_of: Mapping[str, str], results: Mapping[str, dict[str, str]]
) -> ImageCorrection:
    of = (decision.key, decision.etag, decision.who)
    name = None if decision.correction is None else decision.correction.reference
    if name is None:
        return ImageCorrection(*of, decision.correction)
    if name not in results:
        return ImageCorrection(*of, decision.correction, problem=f"its reference {name!r} has no result")
    if _in_circle(decision.key, name, next_of):
        problem = f"its reference {name!r} itself takes its colours from this image"
        return ImageCorrection(*of, decision.correction, problem=problem)
    return ImageCorrection(*of, decision.correction, results[name]["output_key"])


def _in_circle(key: str, reference: str, next_of: Mapping[str, str]) -> bool:
    """Whether a chain of references leads back to its start: each run would then change both images."""
    seen, at = {key}, reference
    while at not in seen and at in next_of:
        seen.add(at)
        at = next_of[at]
    return at == key


def _results(out: Store, keys: Iterable[str]) -> dict[str, dict[str, str]]:
    """By source key, the row of the current result over all job digests."""
    wanted = pa.array(list(keys), pa.string())
    if not len(wanted):
        return {}
    tables = [
        table.filter(pc.is_in(table["key"], value_set=wanted))
        for table in stream_parts(out, list_parts(out), _COLUMNS)
    ]
    if not tables:
        return {}
    return {row["key"]: row for row in current_results(pa.concat_tables(tables)).to_pylist()}


def _is_of(decision: Decision, result: dict[str, str]) -> bool:
    return (decision.etag, decision.output_sha256) == (result["etag"], result["output_sha256"])
