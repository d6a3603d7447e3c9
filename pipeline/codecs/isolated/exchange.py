"""How a decoder's parent and child exchange bytes: through one anonymous file that both have open.

Requests and replies are small and go over a socket; encoded files and pixels go through the file:
two copies at memory speed, where a socket would need two system calls for every 200 KB.
"""

from __future__ import annotations

import os
import tempfile

_CHUNK = 1 << 30  # a single system call moves at most 2 GiB


def open_exchange(name: str) -> int:
    """A new anonymous file in memory (a temporary file where the system has none); the caller closes it."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create(name)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def write_all(fd: int, data: bytes | memoryview, offset: int = 0) -> int:
    """Write all of `data` at `offset`; return the offset after it. Raises OSError if memory runs out."""
    view = memoryview(data).cast("B")
    done = 0
    while done < len(view):
        done += os.pwrite(fd, view[done : done + _CHUNK], offset + done)
    return offset + done


def read_all(fd: int, size: int) -> bytes:
    """The first `size` bytes. Raises OSError where the file is shorter."""
    if size <= _CHUNK and len(data := os.pread(fd, size, 0)) == size:
        return data
    parts, done = [], 0
    while done < size:
        part = os.pread(fd, min(_CHUNK, size - done), done)
        if not part:
            raise OSError(f"the exchange file ends at {done} of {size} bytes")
        parts.append(part)
        done += len(part)
    return b"".join(parts)
