"""Measure on Ray Data: portions of the list in, measured rows out, in any order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from ray.data import ActorPoolStrategy

from pipeline.cli.interrupt import stop_on_signals
from pipeline.engine.actors import RowActor
from pipeline.engine.blocks import blocks_of
from pipeline.engine.cluster import capacity, cluster
from pipeline.engine.errors import explained
from pipeline.engine.limits import bounded_actor, tune
from pipeline.engine.transport import pack, unpack
from pipeline.evaluate.measure import Measurements, Measurer, MeasuringTask
from pipeline.evaluate.photograph_list import Photograph


class MeasureActor(RowActor):
    """`Measurer` as an actor of Ray Data: one packed portion in, one packed result out."""

    def open(self, task: MeasuringTask, device: str) -> None:
        self.measurer = Measurer(task, device)

    def work(self, batch: Any) -> Any:
        return pack(self.measurer.run(unpack(batch)))


def measure_all(task: MeasuringTask, photos: list[Photograph]) -> Iterator[Measurements]:
    """Measure the photographs on the cluster; yields results as they come.

    The steps: n photographs -> portions of `evaluate.shard`, each a block of one row, because a block is what
    Ray schedules and retries -> actors that hold all entries, one per core or GPU -> as many results.

    Raises RunError where workers were lost too often or nothing moved for `evaluate.stall_seconds`, else what
    a worker raised.
    """
    settings = task.config.evaluate
    portions = [photos[i : i + settings.shard] for i in range(0, len(photos), settings.shard)]
    with cluster(settings.address, settings.workers):
        stop_on_signals()
        tune(settings.stall_seconds)
        cpus, gpus = capacity(settings.address)
        workers = min(settings.workers or gpus or cpus, len(portions))
        measured = blocks_of(lambda: map(pack, portions)).map_batches(
            MeasureActor,
            fn_constructor_args=(task, "cuda" if gpus else "cpu"),
            batch_size=1,
            batch_format="pyarrow",
            compute=ActorPoolStrategy(size=workers),
            ray_remote_args_fn=bounded_actor,
            num_gpus=1 if gpus else None,
            num_cpus=None if gpus else 1,
        )
        try:
            for batch in measured.iter_batches(batch_size=1, prefetch_batches=0, batch_format="pyarrow"):
                yield _checked(unpack(batch))
        except Exception as error:
            raise explained(error, "nothing was written, run again") from error


def _checked(measured: Any) -> Measurements:
    assert isinstance(measured, Measurements)
    assert isinstance(measured.rows, pa.Table)
    return measured
