"""Which machine this is, as far as a process id means the same process, and who of it is alive."""

from __future__ import annotations

import hashlib
import os
import re
import socket
from functools import cache, lru_cache
from pathlib import Path

import psutil

#: How `process_mark` looks, as a regular expression without groups.
MARK = r"[0-9a-f]{8}-\d+-\d+"


@cache
def this_machine() -> str:
    """What a process id is unique in: a boot of a machine and, in containers, a space of process ids."""
    parts = [socket.gethostname()]
    for file in (Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")):
        try:
            parts.append(str(file.readlink()) if file.is_symlink() else file.read_text().strip())
        except OSError:  # no Linux: the name must do
            continue
    return " ".join(parts)


def is_alive(process: int, started: float) -> bool:
    """Whether the process of this id that started then (seconds since 1970) still runs on this machine."""
    try:
        return bool(abs(psutil.Process(process).create_time() - started) < 1)
    except psutil.NoSuchProcess:
        return False


def process_mark() -> str:
    """This process in the name of a file: machine, process id, start. A disk may be shared by machines."""
    return _mark(os.getpid())


@lru_cache(1)  # a fork has another id
def _mark(process: int) -> str:
    return f"{_machine_digest()}-{process}-{psutil.Process(process).create_time():.0f}"


def is_dead(mark: str) -> bool | None:
    """Whether the process of a mark has ended; None where it was one of another machine, or boot of it."""
    machine, process, started = re.split("-", mark)
    return None if machine != _machine_digest() else not is_alive(int(process), float(started))


def _machine_digest() -> str:
    return hashlib.sha256(this_machine().encode()).hexdigest()[:8]
