"""Ends what a job has started, whatever ended the job: Ray's own agents outlive a killed driver by a minute.

A process of its own (`python -m pipeline.engine.watchdog DRIVER LOOK GRACE`) that holds a pipe to the job.
The pipe closes when the job ends, by itself or by SIGKILL; what is left of the job's processes some seconds
later is killed.
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
    """While the block runs, and until all that it started has ended.

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
        process.stdout.readline()  # until it has looked: what the job starts from now on lives


def watch(driver: int, look: float, grace: float) -> None:
    """Until the pipe on standard input closes, then until nothing of the driver is left."""
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
