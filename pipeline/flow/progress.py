"""Progress on the terminal: a live bar where someone looks, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from pipeline.records import Status
from pipeline.stages.report import Tally

_LOG_SECONDS = 10.0


class Reporter:
    """Shows how far a run is, after each committed shard; on stderr, so that stdout stays the summary.

    `words`: what is done, to what, and what those are called with which something is wrong.
    """

    def __init__(
        self,
        total: int,
        stream: TextIO | None = None,
        words: tuple[str, str, str] = ("colouring", "images", "failed"),
    ) -> None:
        self.total = total
        self.doing, self.things, self.bad = words
        self.stream = stream or sys.stderr
        self.started = time.monotonic()
        self.spoken = self.started
        self.bar = _bar(self.stream) if self.stream.isatty() else None
        self.task: TaskID | None = None

    def __enter__(self) -> Reporter:
        if self.bar:
            self.bar.start()
            self.task = self.bar.add_task(self.doing, total=self.total, rate="", failed="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar:
            self.bar.stop()

    def update(self, tally: Tally) -> None:
        """Show the run's totals so far."""
        self.show(tally.rows, tally.counts[Status.FAILED])

    def show(self, done: int, bad: int) -> None:
        """Show that `done` of all are done, and that something is wrong with `bad` of them."""
        rate = done / max(1e-9, time.monotonic() - self.started)
        if self.bar and self.task is not None:
            said = f"{bad} {self.bad}" if bad else ""
            self.bar.update(self.task, completed=done, rate=f"{rate:.1f}/s", failed=said)
            return
        now = time.monotonic()
        if now - self.spoken < _LOG_SECONDS and done < self.total:
            return
        self.spoken = now
        left = (self.total - done) / max(rate, 1e-9)
        counts = f"{done:,} of {self.total:,} {self.things}  {rate:.1f}/s  {bad:,} {self.bad}"
        print(f"{counts}  about {left:.0f} s left", file=self.stream, flush=True)


def _bar(stream: TextIO) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]} [red]{task.fields[failed]}[/red]"),
        TimeRemainingColumn(),
        console=Console(file=stream),
    )
