"""End a command's process with its exit status, whatever native code does at exit.

Scripts import this module before all our other modules. `atexit` runs functions in reverse order, so this
module's function runs last, after temporary folders are removed and the log is written.
"""

from __future__ import annotations

import atexit
import os
import sys
from typing import NoReturn

_status: int | None = None


def leave(status: int) -> NoReturn:
    """End this process with an exit status of 0 to 255, like `sys.exit`, but skip Python's finalization.

    Other `atexit` functions still run, non-daemon threads are joined, and standard output and error are
    flushed. If flushing fails, Python ends the process as usual and reports it with status 120.

    Raises:
        SystemExit: always; code that catches it, such as a profiler, can still run.
    """
    global _status
    _status = status
    sys.exit(status)


def _end() -> None:
    """End the process before Python finalizes. If a thread of Ray, torch or pyarrow needs the interpreter
    during finalization, Python ends that thread inside native code and C++ aborts the process with SIGABRT,
    although the work is done (github.com/python/cpython/issues/87135, fixed in 3.14). Native libraries that
    clean up can cause the same."""
    if _status is None:  # an exception, or not a command: end as usual
        return
    for stream in (sys.stdout, sys.stderr):
        if stream is None or stream.closed:
            continue
        try:
            stream.flush()
        except OSError:
            return
    os._exit(_status)


atexit.register(_end)
