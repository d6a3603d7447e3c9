"""How long a plan will take, measured on a few of its own images rather than guessed."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass

from pipeline.errors import ImageFailure
from pipeline.plan import Plan
from pipeline.records import Item
from pipeline.shard.finish import finish_image
from pipeline.shard.job import Job
from pipeline.shard.worker import Bench

_SAMPLE = 4
# Starting Ray and its workers, measured on a 2-core machine; a cluster that runs already takes less.
_START_SECONDS = 15.0


@dataclass(frozen=True)
class Estimate:
    """Wall-clock seconds, and a clause that says how they were found."""

    seconds: float
    basis: str


def estimate_seconds(job: Job, plan: Plan) -> Estimate:
    """Colour a few evenly spread images of the plan in this process, write nothing, and scale up."""
    from pipeline.engine.cluster import cores
    from pipeline.shard.predictors import Predictors

    items = [item for shard in plan.shards for item in shard.items]
    chosen = items[:: max(1, len(items) // _SAMPLE)][:_SAMPLE]
    bench, predictors = Bench(job), Predictors(job, "cpu")
    workers = job.config.run.workers or cores()

    def color(item: Item) -> None:
        prepared = bench.decode(item, bench.fetch(item))
        if prepared.decoded is not None:
            predictors.color([prepared])
        if prepared.decoded is not None and prepared.row is None:
            # a failure is a row of the run, no end of an estimate; its time counts as any other's
            with suppress(ImageFailure):
                finish_image(prepared.decoded, bench.chroma(prepared), item, "", job)

    try:
        color(chosen[0])  # compiles and warms up
        start = time.perf_counter()
        for item in chosen:
            color(item)
        each = (time.perf_counter() - start) / len(chosen)
    finally:
        bench.close()
    basis = f"{each:.2f} s each, measured on {len(chosen)} of these images on this CPU, {workers} workers"
    return Estimate(_START_SECONDS + each * len(items) / workers, basis)
