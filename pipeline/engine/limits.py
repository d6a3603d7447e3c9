"""Settings of Ray Data: no output, bounded restarts of workers, and an end to stalled runs."""

from __future__ import annotations

import logging
import warnings

from ray.data import DataContext
from ray.util.annotations import RayDeprecationWarning

# How often a dead worker is restarted and its shard retried; without limits, a shard that kills its worker
# would be retried for ever. After `limits.attempts` the images of a shard run one by one, and each image that
# kills the worker costs one more try.
_RESTARTS = 64
_TASK_RETRIES = 16


def tune(stall_seconds: int | None = None, *, preserve_order: bool = False) -> None:
    """Set Ray Data's context in this process: it prints nothing, and the first error ends the execution.

    Args:
        stall_seconds: end with an error if nothing finishes for this long; None: Ray's default.
        preserve_order: whether the rows that come out are in the order of those that went in.
    """
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.max_errored_blocks = 0
    # Otherwise Ray wraps a worker's error in one of its own and loses it on the way to the driver.
    context.raise_original_map_exception = True
    context.execution_options.preserve_order = preserve_order
    if stall_seconds is not None:
        context.execution_no_progress_timeout_s = stall_seconds
    # Ray 2.60 deprecates both ways to bound the restarts of a pool and names no other; the lock pins 2.60.
    warnings.filterwarnings("ignore", message="`ray_remote_args", category=RayDeprecationWarning)
    for name in ("ray.data", "ray.data._internal"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # errors are raised, and `explained` words them


def bounded_actor() -> dict[str, int]:
    """Arguments of an actor pool's workers, for `ray_remote_args_fn`."""
    return {"max_restarts": _RESTARTS, "max_task_retries": _TASK_RETRIES}


def bounded_task() -> dict[str, int]:
    """Arguments of tasks, for `ray_remote_args_fn`."""
    return {"max_retries": _TASK_RETRIES}
