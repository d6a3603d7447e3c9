"""This machine, and the environment of its workers: what can be known without Ray."""

from __future__ import annotations

import os

# Freed memory is kept for the next image: to get it from the system again page by page took a fifth of the
# network's time, and up to a tenth of a worker's at 12 megapixels. Pieces of more than 32 MiB, which such a
# photograph has, come from the heap too, and there is one heap: glibc's others end at 64 MiB. What is free at
# its end beyond 256 MiB is given back.
KEEP_FREED_MEMORY = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(256 * 2**20),
}


def cores() -> int:
    """Cores this process may use (containers and taskset included)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def is_local(address: str | None) -> bool:
    """Whether neither the settings nor the environment name a Ray cluster."""
    return not (address or os.environ.get("RAY_ADDRESS"))


def has_gpu() -> bool:
    """Whether a driver of NVIDIA or AMD (/dev/kfd) is at work here and not hidden; Ray finds out more."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    return any(map(os.path.exists, ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")))
