"""Progress: a live bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column

from pipeline.cli import log
from pipeline.cli.durations import duration

# A line every ten seconds at first, then ever more seldom: a night's mail from cron has a hundred of them.
_FIRST_SECONDS, _SHARE, _LAST_SECONDS = 10.0, 0.05, 600.0


class Reporter:
    """Shows how far a run is; on stderr, so that stdout stays the summary. Any thread may call it.

    `words`: the activity, its objects, and the word for objects with which something is wrong.
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
        self.printed = self.started
        self.last = (0, 0)
        self.lock = threading.Lock()
        self.bar = _bar(self.stream) if self.stream.isatty() and not log.is_json() else None
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

    def show(self, done: int, bad: int) -> None:
        """Show that `done` of all are done, and that something is wrong with `bad` of them."""
        with self.lock:
            self.last = (done, bad)
            elapsed = time.monotonic() - self.started
            rate = done / max(1e-9, elapsed)
            if self.bar and self.task is not None:
                failed = f"{bad} {self.bad}" if bad else ""
                self.bar.update(self.task, completed=done, rate=f"{rate:.1f}/s", failed=failed)
            elif done >= self.total or self._due():
                self._print(done, bad, rate, elapsed)

    def beat(self, activity: str) -> None:
        """Show that the run is alive though nothing was finished for a while; `activity`: what it does."""
        with self.lock:
            if self.bar is None and self._due():
                self._print(*self.last, self.last[0] / (time.monotonic() - self.started), 0.0, activity)

    def _due(self) -> bool:
        now = time.monotonic()
        pause = min(max(_FIRST_SECONDS, _SHARE * (now - self.started)), _LAST_SECONDS)
        return now - self.printed >= pause

    def _print(self, done: int, bad: int, rate: float, elapsed: float, at: str | None = None) -> None:
        self.printed = time.monotonic()
        left = (self.total - done) / rate if rate else None
        message = f"{done:,} of {self.total:,} {self.things}  {rate:.1f}/s  {bad:,} {self.bad}"
        if at is not None:
            message += f"  {at}"
        elif left is not None:
            message += f"  about {duration(left)} left" if left else f"  in {duration(elapsed)}"
        if not log.is_json():
            print(message, file=self.stream, flush=True)
            return
        seconds_left = None if left is None else round(left, 1)
        counts: dict[str, Any] = {"done": done, "total": self.total, "bad": bad, "per_second": round(rate, 3)}
        log.detail("progress", message, **counts, seconds_left=seconds_left)


def _bar(stream: TextIO) -> Progress:
    """One line that is written anew; of a narrow terminal the bar gets less, so that it stays one line."""
    one = Column(no_wrap=True)
    return Progress(
        TextColumn("{task.description}", table_column=one),
        BarColumn(bar_width=None, table_column=Column(ratio=1)),
        MofNCompleteColumn(table_column=one),
        TextColumn("{task.fields[rate]} [red]{task.fields[failed]}[/red]", table_column=one),
        TimeRemainingColumn(table_column=one),
        console=Console(file=stream),
        expand=True,
    )
