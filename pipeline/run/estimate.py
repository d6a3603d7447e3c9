"""How long a plan will take, measured on a few of its own images rather than guessed."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass

from pipeline.cli.counts import counted
from pipeline.engine.machine import cores
from pipeline.errors import ImageFailure, StorageError
from pipeline.ledger.schema import LedgerRow
from pipeline.plan.plan import Plan
from pipeline.records import Item
from pipeline.run.engine_choice import choose_engine
from pipeline.shard.finish import finish_image
from pipeline.shard.job import Job
from pipeline.shard.stages import MasterSource
from pipeline.shard.worker import ShardWorker, chroma

_SAMPLE = 4
# Starting the workers, measured on a 2-core machine; a Ray cluster that runs already takes less.
_START_SECONDS = {"ray": 15.0, "processes": 3.0}


@dataclass(frozen=True)
class Estimate:
    """Wall-clock seconds, and a clause on how they were measured."""

    seconds: float
    basis: str


def estimate_seconds(job: Job, plan: Plan) -> Estimate:
    """Colour a few evenly spread images of the plan in this process, write nothing, and scale up."""
    from pipeline.shard.predictors import Predictors

    step = max(1, plan.todo_items // _SAMPLE)
    chosen = plan.shards.items_at(range(0, plan.todo_items, step)[:_SAMPLE])
    worker, predictors = ShardWorker(job), Predictors(job, "cpu")
    workers = job.config.run.workers or cores()

    def color(item: Item) -> None:
        image, reader = job.source_image(item), worker.reader
        if item.finished is not None:
            with suppress(ImageFailure, StorageError):
                worker.second_files.tried(image, item.finished)
            return
        prepared = reader.decode(image, reader.fetch(image))
        if isinstance(prepared, LedgerRow):
            return
        (predicted,) = predictors.color([prepared])
        if isinstance(predicted, LedgerRow) or isinstance(predicted.source, MasterSource):
            return
        pixels = predicted.source.pixels
        # a failure is a row of the run, no end of an estimate; its time counts as any other's
        with suppress(ImageFailure):
            finish_image(pixels, chroma(predicted, predicted.source, job.config), image, "", job)

    try:
        color(chosen[0])  # compiles and warms up
        start = time.perf_counter()
        for item in chosen:
            color(item)
        each = (time.perf_counter() - start) / len(chosen)
    finally:
        worker.close()
    measured = f"measured on {len(chosen)} of these images on this CPU"
    basis = f"{each:.2f} s each, {measured}, {counted(workers, 'worker')}"
    start_seconds = _START_SECONDS[choose_engine(job.config.run, plan)]
    return Estimate(start_seconds + each * plan.todo_items / workers, basis)
