"""The plan of a run: list the source, subtract what the ledger has, cut the rest into shards."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from pipeline.config import JobConfig, PlanConfig
from pipeline.output_config import OutputConfig
from pipeline.plan.done import Done, DoneSet, hash_keys, read_done
from pipeline.plan.keys import Patterns, Refusal, find_refusals, output_key
from pipeline.plan.shards import Shard, cut, plan_table, write_shards
from pipeline.records import Item, Status
from pipeline.storage import ObjectInfo, Store

__all__ = [
    "Done",
    "DoneSet",
    "Plan",
    "Shard",
    "hash_keys",
    "make_plan",
    "output_key",
    "plan_table",
    "read_done",
    "write_plan",
]


@dataclass(frozen=True)
class Plan:
    """What a run has to do.

    `items_listed` and `bytes_listed` count the objects under the input that the patterns keep, `excluded`
    those they leave out; `done` counts the listed ones that the ledger has, by status. What `plan.limit` cuts
    off is in none of `done` and `todo_items`.
    """

    items_listed: int
    bytes_listed: int
    excluded: int
    done: dict[Status, int]
    todo_items: int
    todo_bytes: int
    shards: list[Shard]


def make_plan(source: Store, out: Store, config: JobConfig, job_digest: str, *, workers: int) -> Plan:
    """The plan for N listed objects, M of them done, the other N - M in n shards.

    In steps:
      1. read the ledger's done-set and list the source: M rows, N objects in key order;
      2. subtract: N - M objects to do, at most `plan.limit` of them;
      3. refuse keys that no store can hold, and outputs that would overwrite each other, over all N;
      4. cut the rest into n shards. The same inputs always give the same plan.

    Raises:
        StorageError: the source cannot be listed or a ledger part not be read.
    """
    done = read_done(out, job_digest, retry_failed=config.plan.retry_failed)
    objects, excluded = _keep(source.list(), config.plan)
    statuses = done.statuses(hash_keys((o.key for o in objects), (o.etag for o in objects)))
    todo = np.flatnonzero(statuses < 0)[: config.plan.limit]
    keys = [o.key for o in objects]
    refusals = find_refusals(keys, config.output, statuses == _COLORIZED)
    items = [_item(objects[i], config.output, done, refusals.get(i)) for i in todo.tolist()]
    return Plan(
        items_listed=len(objects),
        bytes_listed=sum(o.bytes for o in objects),
        excluded=excluded,
        done={s: n for code, s in enumerate(Status) if (n := int(np.count_nonzero(statuses == code)))},
        todo_items=len(items),
        todo_bytes=sum(item.bytes for item in items),
        shards=cut(items, job_digest, config.plan, workers),
    )


def write_plan(out: Store, run_id: str, plan: Plan) -> None:
    """Put the plan's shards at `runs/<run id>/plan/shards.parquet`, once: a plan never changes.

    Raises:
        AlreadyExists: this run has a plan. StorageError: it cannot be written.
    """
    write_shards(out, f"runs/{run_id}/plan/shards.parquet", plan.shards)


_COLORIZED = list(Status).index(Status.COLORIZED)


def _keep(listed: Iterable[ObjectInfo], config: PlanConfig) -> tuple[list[ObjectInfo], int]:
    """The objects that the patterns keep, and how many they leave out."""
    patterns = Patterns(config.include, config.exclude)
    kept, excluded = [], 0
    for found in listed:
        if patterns.keep(found.key):
            kept.append(found)
        else:
            excluded += 1
    return kept, excluded


def _item(found: ObjectInfo, output: OutputConfig, done: Done, refusal: Refusal | None) -> Item:
    attempts = done.attempts_of(found.key, found.etag)
    if refusal:
        return Item(*found, attempts, None, refusal.code, refusal.message)
    return Item(*found, attempts, output_key(found.key, output))
