"""Settings of Ray Data: it is quiet, workers restart a bounded number of times, a run that stalls ends."""

from __future__ import annotations

import logging
import warnings

from ray.data import DataContext
from ray.util.annotations import RayDeprecationWarning

# A worker that dies is started again, and its shard tried again, so often; without bounds a shard that kills
# its worker would be tried for ever. Above `limits.attempts` the images of a shard run one by one, and each
# that kills the worker costs one more try.
_RESTARTS = 64
_TASK_RETRIES = 16


def tune(stall_seconds: int | None = None, *, preserve_order: bool = False) -> None:
    """Set Ray Data's context in this process: it prints nothing, and the first error ends the execution.

    Args:
        stall_seconds: the execution ends with an error when nothing is finished for so long; None: Ray's own.
        preserve_order: whether the rows that come out are in the order of those that went in.
    """
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.max_errored_blocks = 0
    # Else Ray wraps what a worker raised in an error of its own, which loses it on the way to the driver.
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
