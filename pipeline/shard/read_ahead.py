"""Start work before its result is needed, in a fixed order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

A = TypeVar("A")
R = TypeVar("R")


def in_flight(
    pool: Executor, function: Callable[[A], R], arguments: Iterable[A], count: int
) -> Iterator[Future[R]]:
    """The futures of `function(argument)` in the order of the arguments, `count` of them started ahead.

    The iterator does not keep futures that it has yielded, because results may be hundreds of megabytes each.
    """
    started: deque[Future[R]] = deque()
    for argument in arguments:
        started.append(pool.submit(function, argument))
        if len(started) >= count:
            yield started.popleft()
    while started:
        yield started.popleft()
