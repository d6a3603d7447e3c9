"""Which engine a run gets: Ray, or processes of its own. Imports little: it is asked before all else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pipeline.config.job import RunConfig
from pipeline.engine.machine import has_gpu, is_local

if TYPE_CHECKING:
    from pipeline.plan.plan import Plan

# The start of a local Ray takes ten seconds longer than that of processes. Up to here that is more than a
# tenth of the work on two cores; beyond, nobody notices, and Ray has the dashboard and the metrics.
SMALL_IMAGES = 1000
SMALL_BYTES = 2 * 2**30


def may_use_processes(run: RunConfig) -> bool:
    """Whether processes of this machine can do the run: no cluster is named, and no GPU is to be used."""
    if run.engine != "auto":
        return run.engine == "processes"
    return is_local(run.address) and not (run.gpus or run.needs_ray or has_gpu())


def choose_engine(run: RunConfig, plan: Plan) -> Literal["ray", "processes"]:
    """The engine that the settings name; else processes, where they can do the run and the plan is small."""
    small = plan.todo_items <= SMALL_IMAGES and plan.todo_bytes <= SMALL_BYTES
    return "processes" if may_use_processes(run) and (small or run.engine == "processes") else "ray"
