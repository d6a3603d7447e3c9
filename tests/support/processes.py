"""Processes of this machine."""

from __future__ import annotations

import psutil


def children_of(pid: int) -> set[int]:
    """All descendants of a process."""
    return {child.pid for child in psutil.Process(pid).children(recursive=True)}


def command_line(pid: int) -> str:
    """The command line of a process, with NUL between its arguments; empty if it has ended."""
    try:
        return "\0".join(psutil.Process(pid).cmdline())
    except psutil.NoSuchProcess:
        return ""
