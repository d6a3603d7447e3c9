"""How a command begins and ends."""

from __future__ import annotations

import os
import time

import psutil

from pipeline.cli.command import began_at, exit_status
from pipeline.errors import EXIT_UNFINISHED


def test_ctrl_c_before_the_work_is_one_line(capsys) -> None:
    def work() -> int:
        raise KeyboardInterrupt

    assert exit_status(work) == EXIT_UNFINISHED
    assert capsys.readouterr().err.splitlines() == [
        "error: interrupted; run the same command again: it starts over, or continues where this one stopped"
    ]


def test_a_command_begins_with_its_process() -> None:
    assert began_at(of_process=True) == psutil.Process(os.getpid()).create_time()
    assert abs(began_at(of_process=False) - time.time()) < 1.0
