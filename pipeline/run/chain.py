"""The Ray Data chain: shards in, one small result per committed shard out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ray.data import ActorPoolStrategy

from pipeline.engine.actors import RowActor
from pipeline.engine.blocks import blocks_of
from pipeline.engine.errors import explained
from pipeline.engine.limits import bounded_actor, bounded_task, tune
from pipeline.engine.machine import is_local
from pipeline.engine.transport import pack, shard_of, unpack
from pipeline.plan.plan import Plan
from pipeline.plan.shards import plan_rows
from pipeline.run import staged
from pipeline.run.layout import Layout
from pipeline.run.remote_attempts import RemoteAttempts
from pipeline.shard.fused import FusedWorker, gpu_share
from pipeline.shard.job import Job
from pipeline.shard.result import ShardResult


def run_chain(job: Job, plan: Plan, layout: Layout, registry: Any) -> Iterator[ShardResult]:
    """Work through the plan; yields the result of each shard as it is committed.

    The steps, with what travels between them (n shards):
      1. plan rows -> n blocks of one row, because a block is what Ray schedules and retries;
      2. fused: fetch, decode, predict, compose, encode, put, commit in one actor per row; or
         staged: fetch+decode tasks -> encoded bytes and model inputs -> predict actors -> chroma
         -> compose+encode+put+commit tasks;
      3. n results of a few hundred bytes each.

    `registry` is the actor that counts attempts, from `remote_attempts.open_registry`.

    Raises:
        RunError: workers were lost too often or nothing moved for `limits.stall_seconds`.
        FiatColorError: what a worker raised, e.g. StorageError when the output cannot be written.
    """
    tune(job.config.limits.stall_seconds)
    shards = blocks_of(lambda: plan_rows(plan))
    chain = (_fused if layout.topology == "fused" else _staged)(shards, job, layout, registry)
    try:
        for batch in chain.iter_batches(batch_size=1, prefetch_batches=0, batch_format="pyarrow"):
            yield unpack(batch)
    except Exception as error:
        raise explained(error, "committed shards stay, run again") from error


def _fused(shards: Any, job: Job, layout: Layout, registry: Any) -> Any:
    workers = min(layout.workers, max(1, shards.count()))
    return shards.map_batches(
        FusedActor,
        fn_constructor_args=(job, registry, "cuda" if layout.gpus else "cpu"),
        batch_size=1,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(size=workers),
        # a local Ray has as many logical CPUs as workers
        num_cpus=1 if is_local(job.config.run.address) else layout.threads,
        num_gpus=gpu_share(workers, layout.gpus),
        ray_remote_args_fn=bounded_actor,
    )


def _staged(shards: Any, job: Job, layout: Layout, registry: Any) -> Any:
    bounded = {"num_cpus": 1, "ray_remote_args_fn": bounded_task}
    prepared = shards.map_batches(
        staged.fetch_decode, fn_args=(job, registry), batch_size=1, batch_format="pyarrow", **bounded
    )
    predicted = prepared.map_batches(
        staged.PredictActor,
        fn_constructor_args=(job, "cuda" if layout.gpus else "cpu"),
        batch_size=1,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(size=layout.workers),
        ray_remote_args_fn=bounded_actor,
        **({"num_gpus": 1} if layout.gpus else {"num_cpus": 1}),
    )
    return predicted.map_batches(
        staged.compose_commit, fn_args=(job, registry), batch_size=1, batch_format="pyarrow", **bounded
    )


class FusedActor(RowActor):
    """`FusedWorker` in the form that Ray Data needs: one plan row in, one result row out."""

    def open(self, job: Job, registry: Any, device: str) -> None:
        self.worker = FusedWorker(job, RemoteAttempts(registry), device)

    def work(self, batch: Any) -> Any:
        return pack(self.worker.run(*shard_of(batch)))
