"""Processes of this machine as Linux's /proc shows them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Process(NamedTuple):
    """A process that ran a moment ago; `command` with NUL between its arguments."""

    pid: int
    parent: int
    session: int
    command: str


def running() -> Iterator[Process]:
    """All processes; one that ends meanwhile is left out."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
            command = stat.with_name("cmdline").read_text()
        except OSError:
            continue
        yield Process(int(stat.parent.name), int(fields[1]), int(fields[3]), command)


def children_of(pid: int) -> set[int]:
    """All descendants of a process."""
    parents = {process.pid: process.parent for process in running()}
    family, grown = {pid}, True
    while grown:
        more = {child for child, parent in parents.items() if parent in family} - family
        family, grown = family | more, bool(more)
    return family - {pid}


def command_line(pid: int) -> str:
    """Of a process; empty where it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""
