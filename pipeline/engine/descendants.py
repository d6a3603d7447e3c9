"""A process and all its descendants, even after their parents have ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psutil


class Descendants:
    """Remembers processes that it has seen, because a process whose parent ends gets another parent."""

    def __init__(self, root: int, *, left_out: Sequence[int] = ()) -> None:
        """`left_out`: processes that do not count, and neither do their descendants."""
        self._root, self._left_out = root, set(left_out)
        self._known: set[tuple[int, float]] = set()  # by id and start: ids are used again

    def leave_out(self, pid: int) -> None:
        """From now on, ignore a process and everything that it starts from now on."""
        self._left_out.add(pid)

    def living(self, *attributes: str) -> dict[int, dict[str, Any]]:
        """The root and its descendants that run now, by id, with these attributes of `psutil.Process`.

        Attributes that this user may not read are None.
        """
        wanted = ["ppid", "create_time", "status", *attributes]
        every = {p.pid: p.info for p in psutil.process_iter(wanted) if p.pid not in self._left_out}
        alive = {pid: info for pid, info in every.items() if info["status"] != psutil.STATUS_ZOMBIE}
        members = {pid for pid, info in alive.items() if (pid, info["create_time"]) in self._known}
        if not self._known and self._root in alive:
            members.add(self._root)
        while more := {pid for pid, info in alive.items() if info["ppid"] in members} - members:
            members |= more
        self._known |= {(pid, alive[pid]["create_time"]) for pid in members}
        return {pid: alive[pid] for pid in members}
