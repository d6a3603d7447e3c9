"""How a command begins and ends."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import psutil
import pytest

from pipeline.cli.command import began_at, exit_status
from pipeline.errors import EXIT_UNFINISHED


def test_ctrl_c_before_the_work_is_one_line(capsys) -> None:
    def work() -> int:
        raise KeyboardInterrupt

    assert exit_status(work) == EXIT_UNFINISHED
    assert capsys.readouterr().err.splitlines() == [
        "error: interrupted; run the same command again: it starts over, or continues where this one stopped"
    ]


@pytest.fixture
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_every_command_ends_with_one_line_at_a_signal(number: int, handlers: None, capsys) -> None:
    """A command without words of its own for it, such as prepare."""
    assert exit_status(lambda: signal.raise_signal(number)) == EXIT_UNFINISHED
    error = capsys.readouterr().err
    assert error.startswith("error: interrupted; run the same command again")
    assert error.count("\n") == 1


def test_a_command_begins_with_its_process() -> None:
    assert began_at(of_process=True) == psutil.Process(os.getpid()).create_time()
    assert abs(began_at(of_process=False) - time.time()) < 1.0
