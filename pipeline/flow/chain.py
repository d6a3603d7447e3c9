"""The Ray Data chain: shards in, one small result per committed shard out."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from typing import Any

import ray
import ray.data
from ray.data import ActorPoolStrategy, DataContext
from ray.util.annotations import RayDeprecationWarning

from pipeline.errors import FiatColorError, RunError
from pipeline.flow import staged
from pipeline.flow.cluster import Layout, RemoteAttempts, open_registry
from pipeline.flow.fused import FusedWorker
from pipeline.flow.job import Job
from pipeline.flow.result import ShardResult
from pipeline.flow.transport import pack, shard_of, unpack
from pipeline.plan import Plan, plan_table

# A worker that dies is started again, and its shard tried again, so often; without bounds a shard that kills
# its worker would be tried for ever. Above `limits.attempts` the images of a shard run one by one, and each
# that kills the worker costs one more try.
_RESTARTS = 64
_TASK_RETRIES = 16


def run_chain(job: Job, plan: Plan, layout: Layout) -> Iterator[ShardResult]:
    """Work through the plan; yields the result of each shard as it is committed.

    The steps, with what travels between them (n shards):
      1. plan rows -> n blocks of one row, because a block is what Ray schedules and retries;
      2. fused: fetch, decode, predict, compose, encode, put, commit in one actor per row; or
         staged: fetch+decode tasks -> encoded bytes and model inputs -> predict actors -> chroma
         -> compose+encode+put+commit tasks;
      3. n results of a few hundred bytes each.

    Raises:
        RunError: workers were lost too often or nothing moved for `limits.stall_seconds`.
        FiatColorError: what a worker raised, e.g. StorageError when the output cannot be written.
    """
    _tune(job)
    table = plan_table(plan)
    shards = ray.data.from_arrow([table.slice(i, 1).combine_chunks() for i in range(table.num_rows)])
    registry = open_registry()
    chain = (_fused if layout.topology == "fused" else _staged)(shards, job, layout, registry)
    try:
        for batch in chain.iter_batches(batch_size=1, prefetch_batches=0, batch_format="pyarrow"):
            yield unpack(batch)
    except Exception as error:
        raise _explained(error) from error


def _tune(job: Job) -> None:
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_no_progress_timeout_s = job.config.limits.stall_seconds
    context.max_errored_blocks = 0
    # Ray 2.60 deprecates both ways to bound the restarts of a pool and names no other; the lock pins 2.60.
    warnings.filterwarnings("ignore", message="`ray_remote_args", category=RayDeprecationWarning)
    for name in ("ray.data", "ray.data._internal"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _fused(shards: Any, job: Job, layout: Layout, registry: Any) -> Any:
    return shards.map_batches(
        FusedActor,
        fn_constructor_args=(job, registry),
        batch_size=1,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(size=min(layout.workers, max(1, shards.count()))),
        num_cpus=1,
        ray_remote_args_fn=_bounded_actor,
    )


def _staged(shards: Any, job: Job, layout: Layout, registry: Any) -> Any:
    bounded = {"num_cpus": 1, "ray_remote_args_fn": _bounded_task}
    prepared = shards.map_batches(
        staged.fetch_decode, fn_args=(job, registry), batch_size=1, batch_format="pyarrow", **bounded
    )
    predicted = prepared.map_batches(
        staged.PredictActor,
        fn_constructor_args=(job, "cuda" if layout.gpus else "cpu"),
        batch_size=1,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(size=layout.workers),
        ray_remote_args_fn=_bounded_actor,
        **({"num_gpus": 1} if layout.gpus else {"num_cpus": 1}),
    )
    return predicted.map_batches(
        staged.compose_commit, fn_args=(job,), batch_size=1, batch_format="pyarrow", **bounded
    )


def _bounded_actor() -> dict[str, int]:
    return {"max_restarts": _RESTARTS, "max_task_retries": _TASK_RETRIES}


def _bounded_task() -> dict[str, int]:
    return {"max_retries": _TASK_RETRIES}


class FusedActor:
    """`FusedWorker` as Ray Data wants it: one plan row in, one result row out."""

    def __init__(self, job: Job, registry: Any) -> None:
        self.worker = FusedWorker(job, RemoteAttempts(registry))

    def __call__(self, batch: Any) -> Any:
        return pack(self.worker.run(*shard_of(batch)))


def _explained(error: Exception) -> FiatColorError:
    """Our own error inside Ray's wrappers, or a RunError with Ray's reason in one line."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, FiatColorError):
            return seen
        seen = getattr(seen, "cause", None) or seen.__cause__ or seen.__context__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return RunError(
        f"the run stopped: {lines[-1] if lines else type(error).__name__}; committed shards stay, run again"
    )
