"""Processes of this machine."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress

import psutil


def ends_with_us(signal: str) -> tuple[str, ...]:
    """What goes before a command so that Linux sends it this signal when the tests are killed. Elsewhere it
    stays behind."""
    return ("setpriv", "--pdeathsig", signal) if shutil.which("setpriv") else ()


def of_session(leader: int) -> set[int]:
    """All processes of the session that this one began, but itself."""
    return {pid for pid in psutil.pids() if pid != leader and _session(pid) == leader}


def _session(pid: int) -> int | None:
    with suppress(ProcessLookupError):  # it has ended since
        return os.getsid(pid)
    return None


def children_of(pid: int) -> set[int]:
    """All descendants of a process."""
    return {child.pid for child in psutil.Process(pid).children(recursive=True)}


def command_line(pid: int) -> str:
    """The command line of a process, with NUL between its arguments; empty if it has ended."""
    try:
        return "\0".join(psutil.Process(pid).cmdline())
    except psutil.NoSuchProcess:
        return ""
