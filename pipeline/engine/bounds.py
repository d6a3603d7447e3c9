"""Ray Data made to end: bounded restarts, a limit on silence, and errors in one line."""

from __future__ import annotations

import logging
import warnings

from ray.data import DataContext
from ray.util.annotations import RayDeprecationWarning

from pipeline.errors import FiatColorError, RunError

# A worker that dies is started again, and its shard tried again, so often; without bounds a shard that kills
# its worker would be tried for ever. Above `limits.attempts` the images of a shard run one by one, and each
# that kills the worker costs one more try.
_RESTARTS = 64
_TASK_RETRIES = 16


def tune(stall_seconds: int) -> None:
    """Set Ray Data's context in this process: quiet, no errors passed over, and an end when nothing moves."""
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_no_progress_timeout_s = stall_seconds
    context.max_errored_blocks = 0
    # Ray 2.60 deprecates both ways to bound the restarts of a pool and names no other; the lock pins 2.60.
    warnings.filterwarnings("ignore", message="`ray_remote_args", category=RayDeprecationWarning)
    for name in ("ray.data", "ray.data._internal"):
        logging.getLogger(name).setLevel(logging.ERROR)


def bounded_actor() -> dict[str, int]:
    """Arguments of an actor pool's workers, for `ray_remote_args_fn`."""
    return {"max_restarts": _RESTARTS, "max_task_retries": _TASK_RETRIES}


def bounded_task() -> dict[str, int]:
    """Arguments of tasks, for `ray_remote_args_fn`."""
    return {"max_retries": _TASK_RETRIES}


def explained(error: Exception, advice: str) -> FiatColorError:
    """Our own error inside Ray's wrappers, or a RunError with Ray's reason in one line and then `advice`."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, FiatColorError):
            return seen
        seen = getattr(seen, "cause", None) or seen.__cause__ or seen.__context__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return RunError(f"the run stopped: {lines[-1] if lines else type(error).__name__}; {advice}")
