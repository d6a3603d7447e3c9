"""Limit the memory for unpacking table files, whose content may be far larger than the file."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Most bytes that one table file may take in memory, in addition to its own size.
MOST_BYTES = 4 * 2**30


class TooMuchUnpacked(ValueError):
    """A file needs more memory than allowed."""


@contextmanager
def at_most(most: int) -> Iterator[None]:
    """Within the block, this process may use at most `most` more bytes of address space, on Linux.

    The sizes stated in a file are no guide, because Parquet and ORC store a value that repeats a million
    times only once. Not thread-safe, because the limit applies to the whole process.

    Raises:
        TooMuchUnpacked: the block needed more.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        limit = pages * resource.getpagesize() + most
        lowest = min(one for one in (limit, soft, hard) if one != resource.RLIM_INFINITY)
        resource.setrlimit(resource.RLIMIT_AS, (lowest, hard))
    try:
        yield
    except MemoryError:
        raise TooMuchUnpacked(f"it needs over {most:,} bytes of memory when unpacked") from None
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
