"""Progress: a live bar on a terminal, occasional lines in a log."""

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

# A line every ten seconds at first, then less and less often: a mail from cron after a night has about a
# hundred.
_FIRST_SECONDS, _SHARE, _LAST_SECONDS = 10.0, 0.05, 600.0
# The first line with a rate comes earlier, for the person who has just typed the command.
_EARLY_SECONDS = 3.0
# If nothing finishes for this long, the line says so and shows no remaining time.
_SILENT_SECONDS = 20.0


class Reporter:
    """Shows the progress of a run, on stderr so that stdout holds only the summary. Thread-safe.

    `words`: the activity, its objects, and the word for bad objects. `waiting`: what to show until `begin` is
    called; rates count from then on.
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
        """Note that the work began this many seconds ago. Only the first call counts."""
        with self.lock:
            if self.waiting is not None:
                self.waiting = None
                self.started = self.moved = max(self.started, time.monotonic() - ago)

    def show(self, done: int, bad: int) -> None:
        """Show that `done` objects are done, `bad` of them with a problem."""
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
    """A single line that is redrawn; on a narrow terminal the bar shrinks so that it stays on one line."""
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
