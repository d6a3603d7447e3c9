"""Identify this machine, the scope in which process ids are unique, and check its processes."""

from __future__ import annotations

import hashlib
import os
import re
import socket
from functools import cache, lru_cache
from pathlib import Path

import psutil

#: The form of `process_mark`, as a regular expression without groups.
MARK = r"[0-9a-f]{8}-\d+-\d+"


@cache
def this_machine() -> str:
    """The scope in which process ids are unique: a boot of a machine and, in containers, a PID namespace."""
    parts = [socket.gethostname()]
    for file in (Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")):
        try:
            parts.append(str(file.readlink()) if file.is_symlink() else file.read_text().strip())
        except OSError:  # not Linux: use the host name
            continue
    return " ".join(parts)


def is_alive(process: int, started: float) -> bool:
    """Whether the process with this id and start time (seconds since 1970) still runs on this machine."""
    try:
        return bool(abs(psutil.Process(process).create_time() - started) < 1)
    except psutil.NoSuchProcess:
        return False


def process_mark() -> str:
    """Identifies this process in a file name: machine, process id, start. Machines may share a disk."""
    return _mark(os.getpid())


@lru_cache(1)  # a forked process has another id
def _mark(process: int) -> str:
    return f"{_machine_digest()}-{process}-{psutil.Process(process).create_time():.0f}"


def is_dead(mark: str) -> bool | None:
    """Whether the process of a mark has ended; None if it belongs to another machine or another boot."""
    machine, process, started = re.split("-", mark)
    return None if machine != _machine_digest() else not is_alive(int(process), float(started))


def _machine_digest() -> str:
    return hashlib.sha256(this_machine().encode()).hexdigest()[:8]
