"""Which machine this is, as far as a process id means the same process, and who of it is alive."""

from __future__ import annotations

import socket
from functools import cache
from pathlib import Path

import psutil


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
