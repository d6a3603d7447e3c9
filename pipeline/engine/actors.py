"""Actors for Ray Data's pools: created once in a worker process, then called with one row at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from pipeline.errors import FiatColorError


class RowActor(ABC):
    """A class for `map_batches` whose constructor may fail with an error meant for the user.

    An error raised by an actor's constructor reaches the driver only as text, after Ray has printed it in
    many lines. So the error is stored and raised when the first row arrives.
    """

    def __init__(self, *args: Any) -> None:
        """`args` go to `open`."""
        self._error: FiatColorError | None = None
        try:
            self.open(*args)
        except FiatColorError as error:
            self._error = error

    def __call__(self, batch: Any) -> Any:
        """`work`, or the error of `open`."""
        if self._error is not None:
            raise self._error
        return self.work(batch)

    @abstractmethod
    def open(self, *args: Any) -> None:
        """Create the state that all calls share; subclasses define the arguments."""

    @abstractmethod
    def work(self, batch: Any) -> Any:
        """One packed row in, one packed row out."""
