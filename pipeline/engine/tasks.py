"""Run a function over many argument lists as Ray tasks: a few at a time, with retries and a timeout."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import ray

from pipeline.engine.errors import explained
from pipeline.errors import RunError

R = TypeVar("R")

#: Retries of a task whose worker died. Tasks here only read, so retrying is safe.
_RETRIES = 4


def map_tasks(
    function: Callable[..., R], arguments: Iterable[tuple[Any, ...]], workers: int, stall_seconds: int
) -> Iterator[R]:
    """The results of `function(*arguments)` in the order of completion.

    At most two tasks per worker run at a time. `arguments` are created when needed, so they need not all fit
    into Ray's object store together.

    Raises:
        FiatColorError: what the function raised. RunError: workers were lost too often, or no task ended
        within `stall_seconds`.
    """
    task = ray.remote(num_cpus=1, max_retries=_RETRIES)(function)
    running: set[Any] = set()
    try:
        for each in arguments:
            running.add(task.remote(*each))
            if len(running) >= 2 * workers:
                yield _next(running, stall_seconds)
        while running:
            yield _next(running, stall_seconds)
    except ray.exceptions.RayError as error:
        raise explained(error, "nothing was changed, run it again") from error


def _next(running: set[Any], seconds: int) -> Any:
    done, _ = ray.wait(list(running), num_returns=1, timeout=seconds)
    if not done:
        raise RunError(f"no task finished for {seconds} s (limits.stall_seconds); run it again")
    running.discard(done[0])
    return ray.get(done[0])
