"""How the driver of a run holds memory: what it frees goes back to the system.

A driver works on some thousand rows at a time, so its memory should not grow with the archive. By default it
does: pyarrow's allocator keeps what each thread of it has freed, and so does each of glibc's heaps.
`python -m tests.support.driver_memory` measures it.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any

_M_ARENA_MAX = -8  # glibc, malloc.h
_HEAPS = 2


def give_back_freed_memory() -> None:
    """Let pyarrow take its memory from the system's allocator, and glibc have two heaps for all threads.

    Call it before pyarrow is imported, which chooses its allocator then; in a process that has imported it,
    such as a user's own program, nothing is changed. Who has set ARROW_DEFAULT_MEMORY_POOL keeps that. Where
    the C library has no `mallopt`, it stays as it is. Processes that this one starts inherit the choice.
    """
    if "pyarrow" in sys.modules:
        return
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    mallopt: Any = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, _HEAPS)
