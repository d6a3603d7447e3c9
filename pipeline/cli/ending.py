"""The end of a command's process: its exit status is what the command says, whatever native code does then.

Scripts import this module before any other of ours: functions of `atexit` run in reverse order, so that its
own is the last, after temporary folders are removed and the log is written.
"""

from __future__ import annotations

import atexit
import os
import sys
from typing import NoReturn

_status: int | None = None


def leave(status: int) -> NoReturn:
    """End this process with the exit status, 0 to 255, as `sys.exit` does, but for Python's own finalization.

    What others registered with `atexit` still runs, threads that are no daemons are waited for, and standard
    output and error are flushed. Where that fails, Python ends the process as usual: it says so, with 120.

    Raises:
        SystemExit: always; whoever catches it, such as a profiler, may still work.
    """
    global _status
    _status = status
    sys.exit(status)


def _end() -> None:
    """End the process before Python finalizes itself. A thread of Ray, torch or pyarrow that then wants the
    interpreter is ended within native code, and C++ aborts the process: SIGABRT, though the work is done
    (github.com/python/cpython/issues/87135, mended in 3.14). So may native libraries that clean up."""
    if _status is None:  # ended by an exception, or never a command: as usual
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
