"""Table files whose content takes far more memory than they have bytes: a limit for what unpacks them."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Most bytes that one table file may take in memory, beside its own.
MOST_BYTES = 4 * 2**30


class TooMuchUnpacked(ValueError):
    """A file that takes more memory than it is allowed."""


@contextmanager
def at_most(most: int) -> Iterator[None]:
    """Within the block this process may take `most` bytes of address space more than it has, on Linux.

    Sizes that a file states of itself are no measure: Parquet and ORC keep a value that is repeated a million
    times once. Not for two threads at a time, for the limit is one of the process.

    Raises:
        TooMuchUnpacked: the block wanted more.
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
        raise TooMuchUnpacked(f"unpacked it takes over {most:,} bytes of memory") from None
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
