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
# The first line with a rate does not wait so long: whoever has typed the command wants to know.
_EARLY_SECONDS = 3.0
# If nothing is finished for so long, the line says so; the time that is left is then not to be known.
_SILENT_SECONDS = 20.0


class Reporter:
    """Shows how far a run is; on stderr, so that stdout stays the summary. Any thread may call it.

    `words`: the activity, its objects, and the word for objects with which something is wrong. `waiting`:
    what comes before the work until `begin`; rates count from there.
    """

    def __init__(
        self,
        total: int,
        stream: TextIO | None = None,
        words: tuple[str, str, str] = ("colouring", "images", "failed"),
        waiting: str | None = None,
    ) -> None:
        self.total = total
        self.doing, self.things, self.bad = words
        self.stream = stream or sys.stderr
        self.started = time.monotonic()
        self.printed = self.moved = self.started
        self.waiting = waiting
        self.last = (0, 0)
        self.early = True  # no line has had a rate
        self.ended = False
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

    def begin(self, ago: float) -> None:
        """The work began so many seconds ago, if nobody has said so before."""
        with self.lock:
            if self.waiting is not None:
                self.waiting = None
                self.started = self.moved = max(self.started, time.monotonic() - ago)

    def show(self, done: int, bad: int) -> None:
        """Show that `done` of all are done, and that something is wrong with `bad` of them."""
        with self.lock:
            now = time.monotonic()
            if (done, bad) != self.last:
                self.last, self.moved = (done, bad), now
            elapsed = now - self.started
            rate = done / max(1e-9, elapsed)
            if self.bar and self.task is not None:
                failed = f"{bad} {self.bad}" if bad else ""
                self.bar.update(self.task, completed=done, rate=f"{rate:.1f}/s", failed=failed)
            elif not self.ended and (done >= self.total or self._due(now)):
                self.ended = done >= self.total
                self._print(now, rate)

    def _due(self, now: float) -> bool:
        elapsed = now - self.started
        if self.early and self.waiting is None and self.last[0] and elapsed >= _EARLY_SECONDS:
            return True
        pause = min(max(_FIRST_SECONDS, _SHARE * elapsed), _LAST_SECONDS)
        return now - self.printed >= pause

    def _print(self, now: float, rate: float) -> None:
        done, bad = self.last
        self.printed, self.early = now, self.early and not done
        silent = now - self.moved if now - self.moved >= _SILENT_SECONDS else None
        left = (self.total - done) / rate if rate and silent is None else None
        message = f"{done:,} of {self.total:,} {self.things}  {rate:.1f}/s  {bad:,} {self.bad}"
        if self.waiting is not None:
            message += f"  {self.waiting}"
        elif done >= self.total:
            message += f"  in {duration(now - self.started)}"
        elif silent is not None:
            message += f"  none for {duration(silent)}"
        elif left is not None:
            message += f"  about {duration(left)} left"
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
