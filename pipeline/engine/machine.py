"""This machine and the environment of its workers, without Ray."""

from __future__ import annotations

import os

# Keep freed memory for the next image: getting it from the system again page by page took a fifth of the
# network's time, and up to a tenth of a worker's time at 12 megapixels. Pieces of more than 32 MiB, which
# such a photograph has, come from the heap too, and there is one heap: glibc's others end at 64 MiB. What is
# free at its end beyond 256 MiB is given back.
KEEP_FREED_MEMORY = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(256 * 2**20),
}


def cores() -> int:
    """Cores this process may use (containers and taskset included)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def is_local(address: str | None) -> bool:
    """Whether no Ray cluster is named in the settings or the environment."""
    return not (address or os.environ.get("RAY_ADDRESS"))


def has_gpu() -> bool:
    """Whether an NVIDIA or AMD driver (/dev/kfd) is present and not hidden; Ray checks further."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    return any(map(os.path.exists, ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")))
