"""A function over many argument lists as Ray tasks: a few at a time, bounded retries, an end to silence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import ray

from pipeline.engine.errors import explained
from pipeline.errors import RunError

R = TypeVar("R")

#: Tries of a task whose worker died. Tasks here only read, so that a second try changes nothing.
_RETRIES = 4


def map_tasks(
    function: Callable[..., R], arguments: Iterable[tuple[Any, ...]], workers: int, stall_seconds: int
) -> Iterator[R]:
    """The results of `function(*arguments)` in the order in which they are done.

    At most two tasks a worker are under way; `arguments` are made when they are needed, so that they need not
    fit into Ray's object store together.

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
        raise RunError(f"nothing was finished for {seconds} s (limits.stall_seconds); run it again")
    running.discard(done[0])
    return ray.get(done[0])
