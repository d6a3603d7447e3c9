"""The engines that colour a plan's shards: Ray, or a pool of processes. Both give the same results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipeline.config.job import JobConfig
from pipeline.engine.machine import cores
from pipeline.plan.plan import Plan
from pipeline.run.attempts import AttemptRegistry, Registry
from pipeline.run.engine_choice import choose_engine
from pipeline.run.fork_server import dismiss
from pipeline.run.layout import Layout, Resources, choose_layout, layout_for, occupied
from pipeline.shard.job import Job
from pipeline.shard.result import ShardResult

if TYPE_CHECKING:
    from pipeline.run.telemetry import Telemetry


@dataclass(frozen=True)
class Engine:
    """A running engine.

    Attributes:
        registry: knows which shards are in progress.
        results: the results of all shards of the plan, each as it is committed (`chain.run_chain`,
            `LocalPool.results`).
        telemetry: creates the exporter of the run's metrics; None if metrics are not exported.
        occupied: returns the resources that the run holds; call it at the end of the work.
    """

    layout: Layout
    registry: Registry
    results: Callable[[Job, Plan], Iterator[ShardResult]]
    telemetry: Callable[[Job, Plan], Telemetry | None]
    occupied: Callable[[], Resources]


@contextmanager
def open_engine(config: JobConfig, plan: Plan) -> Iterator[Engine]:
    """Open the engine for this plan for the duration of the block.

    Raises as `engine.cluster.cluster`, `choose_layout` and `LocalPool`.
    """
    open_ = _processes if choose_engine(config.run, plan) == "processes" else _ray
    with open_(config, plan) as engine:
        yield engine


@contextmanager
def _processes(config: JobConfig, plan: Plan) -> Iterator[Engine]:
    from pipeline.run.local_pool import local_pool

    layout = layout_for(config, cores(), 0)
    layout = replace(layout, workers=min(layout.workers, len(plan.shards)), engine="processes")
    registry = AttemptRegistry()
    resources = Resources(layout.workers * layout.threads, 0)
    with local_pool(layout.workers, registry) as pool:
        yield Engine(layout, registry, pool.results, lambda job, plan: None, lambda: resources)


@contextmanager
def _ray(config: JobConfig, plan: Plan) -> Iterator[Engine]:
    from pipeline.engine.cluster import cluster  # Ray is imported late: most runs do without it
    from pipeline.run.chain import run_chain
    from pipeline.run.remote_attempts import RemoteRegistry, open_registry
    from pipeline.run.telemetry import Telemetry

    dismiss()
    address = config.run.address
    with cluster(address, config.run.workers):
        layout, actor = choose_layout(config), open_registry()

        def results(job: Job, plan: Plan) -> Iterator[ShardResult]:
            return run_chain(job, plan, layout, actor)

        def telemetry(job: Job, plan: Plan) -> Telemetry:
            return Telemetry(job, layout, len(plan.shards))

        yield Engine(layout, RemoteRegistry(actor), results, telemetry, lambda: occupied(layout, address))
