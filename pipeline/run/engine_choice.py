"""Choose the engine of a run: Ray, or its own processes. Imports little, because it is needed first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pipeline.config.job import RunConfig
from pipeline.engine.machine import has_gpu, is_local

if TYPE_CHECKING:
    from pipeline.plan.plan import Plan

# Starting a local Ray takes ten seconds longer than starting processes. For runs up to these limits that is
# more than a tenth of the work on two cores. For larger runs it hardly matters, and Ray offers the dashboard
# and the metrics.
SMALL_IMAGES = 1000
SMALL_BYTES = 2 * 2**30


def may_use_processes(run: RunConfig) -> bool:
    """Whether processes on this machine can do the run: the user names no cluster and wants no GPU."""
    if run.engine != "auto":
        return run.engine == "processes"
    return is_local(run.address) and not (run.gpus or run.needs_ray or has_gpu())


def choose_engine(run: RunConfig, plan: Plan) -> Literal["ray", "processes"]:
    """The engine that the settings name; by default processes for small plans if possible, else Ray."""
    small = plan.todo_items <= SMALL_IMAGES and plan.todo_bytes <= SMALL_BYTES
    return "processes" if may_use_processes(run) and (small or run.engine == "processes") else "ray"
