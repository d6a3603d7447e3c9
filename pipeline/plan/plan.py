"""A whole plan: what is in the input, what is already done, and the rest in shards."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.config.job import JobConfig, PlanConfig
from pipeline.ledger.keys import plan_key
from pipeline.plan.archive_storage import still_archived
from pipeline.plan.decisions import DecisionIndex, read_decided
from pipeline.plan.done import DoneImages, done_images
from pipeline.plan.dropped_guides import guided_images, refuse_dropped_guides
from pipeline.plan.failed_reads import readable_again
from pipeline.plan.guide_types import Guidance, GuideSource, ItemGuide
from pipeline.plan.items import ItemTable
from pipeline.plan.ledger_rows import InputParts, read_ledger
from pipeline.plan.listing import list_objects
from pipeline.plan.missing_derivatives import read_finished
from pipeline.plan.objects import Objects, Picked
from pipeline.plan.other_input import refuse_other_input
from pipeline.plan.other_models import read_other_models, with_other_models
from pipeline.plan.refusals import find_refusals
from pipeline.plan.shards import Shards, cut, write_shards
from pipeline.records import Status
from pipeline.storage import Store

T = TypeVar("T")
_COLORIZED, _REJECTED = (list(Status).index(status) for status in (Status.COLORIZED, Status.REJECTED))


@dataclass(frozen=True)
class Plan:
    """What a run has to do.

    `items_listed` and `bytes_listed` count the input's objects that keys and patterns keep, `excluded` those
    that patterns leave out; `done` counts the listed ones in the ledger, by status. Objects beyond
    `plan.limit` count neither in `done` nor in `todo_items`. `others` counts images that another model
    coloured last: among the done ones if `plan.recolor` is changed-settings, else among those to do.
    `accepted` counts images that are done only because somebody accepted their result. `second_files` counts
    images to do that need only their second file (`missing_derivatives`). `guidance` has the guides of all
    listed objects, and the sidecars, which no count includes. `archived_items` and `archived_bytes` count
    images to do that are archived, as far as known (`archive_storage.still_archived`); the run still tries
    them. `warnings` are about patterns and keys that match nothing. `ledger_until` is the latest time of all
    ledger rows, microseconds since 1970.
    """

    items_listed: int
    bytes_listed: int
    excluded: int
    done: dict[Status, int]
    todo_items: int
    todo_bytes: int
    shards: Shards
    others: int = 0
    accepted: int = 0
    second_files: int = 0
    archived_items: int = 0
    archived_bytes: int = 0
    guidance: Guidance = field(default_factory=Guidance)
    warnings: tuple[str, ...] = ()
    ledger_until: int = 0


def make_plan(
    source: Store,
    out: Store,
    config: JobConfig,
    job_digest: str,
    *,
    workers: int,
    guides: GuideSource | None = None,
) -> Plan:
    """The plan for N listed objects, M of them done, the other N - M in n shards.

    In steps:
      1. read what is done from the ledger (M rows), read people's decisions, and list the source (N objects
         in key order, with their guides);
      2. subtract: N - M objects to do, at most `plan.limit`. Changed guides, other models, storage that can
         be read again and people's decisions may make images undone or keep them done. Refuse to drop guides
         and to replace the results of another input;
      3. refuse keys that no store can hold, and outputs that would overwrite each other, over all N;
      4. cut the rest into n shards. The same inputs always give the same plan.

    Raises ConfigError if guides do not fit or would be dropped, or if images of another input would be
    replaced; StorageError if source, ledger or decisions cannot be read.
    """
    known, decided = _known(source, out, config, job_digest), read_decided(out)
    done = known.done
    listing = list_objects(source, config.plan, config.storage, guides, decided.corrections)
    objects, hashes = listing.objects, listing.objects.identities
    statuses = done.statuses(hashes)
    refusals = find_refusals(objects.keys, config.output, statuses == _COLORIZED, out.comparable)
    refusals = _by_index(objects.keys, listing.guidance.refused) | dict(refusals)
    item_guides = _by_index(objects.keys, listing.guidance.guides)
    listed = (source, objects)
    by_others = _reconsider(statuses, done, hashes, listed, config.plan, item_guides)
    finished = read_finished(out, config, job_digest).among(hashes, statuses, item_guides)
    stays = _let_people_decide(statuses, hashes, decided, config.plan, finished)
    todo = np.flatnonzero(statuses < 0)[: config.plan.limit]
    if not config.plan.drop_guides:
        corrected = _by_index(objects.keys, dict.fromkeys(listing.guidance.corrected))
        bare = _without_guide(todo, hashes, decided, item_guides.keys() | corrected.keys())
        refuse_dropped_guides(out, Picked(objects.keys, bare), hashes[bare], known.guided)
    if not config.plan.replace_input:
        refuse_other_input(source, out, known.inputs, objects, todo)
    items = ItemTable(objects, todo, done.tried(hashes[todo]), config.output, refusals, item_guides, finished)
    archived = still_archived(source, objects, todo[objects.archived[todo]])
    return Plan(
        items_listed=len(objects),
        bytes_listed=int(objects.sizes.sum()),
        excluded=listing.excluded,
        done={s: n for code, s in enumerate(Status) if (n := int(np.count_nonzero(statuses == code)))},
        todo_items=len(todo),
        todo_bytes=int(items.sizes.sum()),
        shards=cut(items, job_digest, config.plan, workers),
        others=int(np.count_nonzero(by_others & (statuses >= 0) if _keeps(config) else by_others[todo])),
        accepted=int(np.count_nonzero(stays)),
        second_files=int(np.count_nonzero(np.isin(todo, [*(finished.keys() - refusals.keys())]))),
        archived_items=len(archived),
        archived_bytes=int(objects.sizes[archived].sum()),
        guidance=listing.guidance,
        warnings=listing.warnings,
        ledger_until=known.until,
    )


def _reconsider(
    statuses: NDArray[np.int8],
    done: DoneImages,
    hashes: NDArray[np.int64],
    listed: tuple[Store, Objects],
    config: PlanConfig,
    item_guides: Mapping[int, ItemGuide],
) -> NDArray[np.bool_]:
    """Update the statuses from the ledger in place (-1: not done), according to guides, storage and models.

    Returns:
        Which objects another model coloured last.
    """
    statuses[done.otherwise_guided(hashes, {i: guide.digest for i, guide in item_guides.items()})] = -1
    statuses[readable_again(*listed, statuses, np.isin(hashes, done.storage_failed))] = -1
    by_others = np.isin(hashes, done.others)
    if config.recolor != "changed-settings":
        statuses[by_others] = -1
    return by_others


def _let_people_decide(
    statuses: NDArray[np.int8],
    hashes: NDArray[np.int64],
    decided: DecisionIndex,
    config: PlanConfig,
    finished: Mapping[int, str],
) -> NDArray[np.bool_]:
    """Apply acceptances and rejections in place; return which objects stay done because they were accepted.

    Args:
        finished: by index, those that only need a second file, which does not change an accepted result.
    """
    stays = np.isin(hashes, decided.accepted) & (statuses < 0) & (config.recolor != "accepted")
    stays[[*finished]] = False
    statuses[stays] = _COLORIZED
    statuses[np.isin(hashes, decided.rejected)] = _REJECTED
    return stays


def _without_guide(
    todo: NDArray[np.int64], hashes: NDArray[np.int64], decided: DecisionIndex, guided: Set[int]
) -> NDArray[np.int64]:
    """Indices of objects to do that are not `guided`, unless a decision says that they should not be."""
    by_hand = np.isin(hashes[todo], decided.taken_back)
    return todo[~(by_hand | np.isin(todo, np.fromiter(guided, np.int64, len(guided))))]


def _keeps(config: JobConfig) -> bool:
    """Whether to keep what another model coloured."""
    return config.plan.recolor == "changed-settings"


class _Known(NamedTuple):
    """What the ledger says: what is done, what has a guide (identities), the inputs of its parts, and the
    latest time of its rows, microseconds since 1970."""

    done: DoneImages
    guided: NDArray[np.int64]
    inputs: InputParts
    until: int


def _known(source: Store, out: Store, config: JobConfig, job_digest: str) -> _Known:
    """Collected from the ledger's rows, which are read once and then freed."""
    ledger = read_ledger(out, source.uri)
    own = done_images(ledger.of(job_digest), retry_failed=config.plan.retry_failed)
    others = read_other_models(out, ledger, config, job_digest)
    done = with_other_models(own, others, keep=_keeps(config))
    return _Known(done, guided_images(ledger), ledger.inputs, ledger.latest)


def write_plan(out: Store, run_id: str, plan: Plan) -> None:
    """Write the plan's shards to `runs/<run id>/plan/shards.parquet`, once, because a plan never changes.

    Raises:
        AlreadyExists: this run has a plan. StorageError: it cannot be written.
    """
    write_shards(out, plan_key(run_id), plan.shards)


def _by_index(keys: Sequence[str], values: Mapping[str, T]) -> dict[int, T]:
    """The values by the index of their key; those of other keys are left out."""
    places = {key: bisect_left(keys, key) for key in values}
    return {at: values[key] for key, at in places.items() if at < len(keys) and keys[at] == key}
