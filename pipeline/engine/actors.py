"""Actors of Ray Data's pools: made once in a worker process, called with one row at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from pipeline.errors import FiatColorError


class RowActor(ABC):
    """A class for `map_batches` whose constructor may fail with an error for the user.

    An error that leaves an actor's constructor reaches the driver as text alone, after Ray has printed it in
    many lines. So ours is kept, and raised when the first row comes.
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
        """Make what all calls share; a subclass names its arguments."""

    @abstractmethod
    def work(self, batch: Any) -> Any:
        """One packed row in, one packed row out."""
