"""Make the driver of a run return freed memory to the system.

A driver works on a few thousand rows at a time, so its memory should not grow with the archive. By default it
does grow, because pyarrow's allocator keeps what each of its threads has freed, and so does each heap of
glibc. `python -m tests.support.driver_memory` measures it.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any

_M_ARENA_MAX = -8  # glibc, malloc.h
_HEAPS = 2


def give_back_freed_memory() -> None:
    """Make pyarrow use the system's allocator, and limit glibc to two heaps for all threads.

    Call this before importing pyarrow, which chooses its allocator on import. If pyarrow is imported already,
    as in a user's own program, nothing changes. An ARROW_DEFAULT_MEMORY_POOL that the user has set is kept. A
    C library without `mallopt` is left as it is. Child processes inherit the choice.
    """
    if "pyarrow" in sys.modules:
        return
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    mallopt: Any = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, _HEAPS)
