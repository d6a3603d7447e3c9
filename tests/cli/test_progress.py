"""Progress as people read it: on a real terminal, and in a log that is sent by mail."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import sys
import termios
import time

import pytest

from pipeline.cli.progress import Reporter
from tests.support.paths import REPO

SHOW = """
from pipeline.cli.progress import Reporter
with Reporter(12345) as reporter:
    for done in (0, 3000, 12345):
        reporter.show(done, 7 if done else 0)
"""


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_on_a_terminal_it_is_one_line_that_is_written_anew(columns: int) -> None:
    child, terminal = pty.fork()
    if child == 0:
        size = struct.pack("HHHH", 24, columns, 0, 0)
        fcntl.ioctl(0, termios.TIOCSWINSZ, size)
        os.chdir(REPO)
        environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "NO_COLOR")}
        os.execve(sys.executable, [sys.executable, "-c", SHOW], environment | {"TERM": "xterm"})
    shown = b""
    while True:
        try:
            more = os.read(terminal, 65536)
        except OSError:  # Linux's end of a terminal
            break
        if not more:
            break
        shown += more
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, shown
    frames = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode()).rstrip("\r\n").split("\r")
    assert not any("\n" in frame for frame in frames)
    assert max(len(frame) for frame in frames) <= columns
    assert re.search(r"12345/12345 [\d.]+/s 7 failed", frames[-1])


def lines(reporter: Reporter) -> list[str]:
    assert isinstance(reporter.stream, io.StringIO)
    return reporter.stream.getvalue().splitlines()


def test_in_a_log_it_is_whole_lines_with_what_is_left() -> None:
    reporter = Reporter(2000, io.StringIO())
    reporter.show(10, 0)
    assert lines(reporter) == [], "too early"
    reporter.started -= 100
    reporter.printed -= 11
    reporter.show(500, 3)
    reporter.show(501, 3)
    reporter.show(2000, 3)
    reporter.show(2000, 3)
    first, last = lines(reporter)
    assert first == "500 of 2,000 images  5.0/s  3 failed  about 5 min 0 s left"
    assert last == "2,000 of 2,000 images  20.0/s  3 failed  in 1 min 40 s"


def turned(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock, to be turned: one number, in seconds."""
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    return clock


def test_a_rate_and_a_time_left_come_within_five_seconds_of_work(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = turned(monkeypatch)
    reporter = Reporter(10**6, io.StringIO(), waiting="workers are starting")
    for second in range(12):
        clock[0] = 1000.0 + second
        reporter.show(0, 0)
    reporter.begin(0.0)
    for second in range(12, 18):
        clock[0] = 1000.0 + second
        reporter.show(10 * (second - 11), 0)
    waiting, first = lines(reporter)
    assert waiting == "0 of 1,000,000 images  0.0/s  0 failed  workers are starting"
    assert first == "30 of 1,000,000 images  10.0/s  0 failed  about 27 h 46 min left"
    assert len(first) < 80


def test_in_a_log_a_run_that_stands_still_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = turned(monkeypatch)
    reporter = Reporter(2000, io.StringIO())
    for second in range(0, 60, 5):
        clock[0] = 1000.0 + second
        reporter.show(20, 1)
    assert lines(reporter)[0] == "20 of 2,000 images  4.0/s  1 failed  about 8 min 15 s left"
    assert lines(reporter)[-1] == "20 of 2,000 images  0.4/s  1 failed  none for 55.0 s"


@pytest.mark.parametrize(("hours", "most"), [(0.1, 31), (1, 80), (10, 140)])
def test_a_long_night_is_a_mail_that_can_be_read(hours: float, most: int, monkeypatch) -> None:
    """A shard is committed every second for so long; the clock is turned, for nobody waits ten hours."""
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    reporter = Reporter(10**9, io.StringIO())
    for second in range(int(hours * 3600)):
        now = reporter.started + second
        reporter.show(second, 0)
    assert 10 < len(lines(reporter)) <= most
