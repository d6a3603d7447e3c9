"""Kill everything that a job has started, however it ended. Ray's agents outlive a killed driver by a minute.

It is a separate process (`python -m pipeline.engine.watchdog DRIVER LOOK GRACE`) with a pipe to the job. The
pipe closes when the job ends, normally or by SIGKILL. A few seconds later, the watchdog kills the job's
remaining processes.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from pipeline import child_python_path
from pipeline.engine.descendants import Descendants

_LOOK_SECONDS = 1.0
_GRACE_SECONDS = 5.0  # in which Ray's processes end by themselves


@contextmanager
def watchdog(look: float = _LOOK_SECONDS, grace: float = _GRACE_SECONDS) -> Iterator[None]:
    """Watch while the block runs, and until everything that it started has ended.

    Args:
        look: seconds between two looks at what the job has started.
        grace: seconds from the job's end to the first kill.
    """
    command = [sys.executable, "-m", "pipeline.engine.watchdog", str(os.getpid()), str(look), str(grace)]
    environment = os.environ | {"PYTHONPATH": child_python_path()}
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=environment,
        cwd="/",
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdout:
        with process.stdin:
            yield
        process.stdout.readline()  # wait for its first look: it will see what the job starts from now on


def watch(driver: int, look: float, grace: float) -> None:
    """Watch until the pipe on standard input closes, then until no process of the driver is left."""
    family = Descendants(driver, left_out=[os.getpid()])
    closed = False
    while not closed:
        family.living()
        closed = bool(select.select([sys.stdin], [], [], look)[0])
    family.living()
    with suppress(BrokenPipeError):  # of a driver that is dead
        print("looked", flush=True)
    family.leave_out(driver)
    deadline = time.monotonic() + grace
    while left := family.living().keys():
        if time.monotonic() > deadline:
            for pid in left:
                with suppress(psutil.NoSuchProcess):
                    psutil.Process(pid).kill()
        time.sleep(look / 4)


if __name__ == "__main__":
    watch(int(sys.argv[1]), *map(float, sys.argv[2:]))
