"""Measure the time and peak memory of a function in a fresh Python process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

from pipeline.cli.allocator import give_back_freed_memory
from pipeline.errors import RunError

_ROOT = Path(__file__).resolve().parents[2]  # where `pipeline` lies
_AS_DRIVER = "--as-driver"
DECODER = "peak_rss_mib_of_the_decoder"


def measured(task: str, *arguments: str, as_driver: bool = False) -> dict[str, float]:
    """Run `task` (`module:function`) in a fresh Python, which imports that module and no other.

    as_driver: with memory as the colouring command has it (`pipeline.cli.allocator`).

    Returns `seconds` (wall clock, start-up included), `peak_rss_mib` (with that of the decoder's process
    where the function returns it as `peak_rss_mib_of_the_decoder`) and what the function returns.

    Raises:
        RunError: it failed; the message ends with the last line that it printed.
    """
    flags = [_AS_DRIVER] if as_driver else []
    command = [sys.executable, "-m", "pipeline.benchmark.fresh_process", *flags, task, *arguments]
    start = time.perf_counter()
    ended = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    seconds = round(time.perf_counter() - start, 3)
    if ended.returncode:
        lines = ended.stderr.strip().splitlines() or [f"it ended with {ended.returncode} and printed nothing"]
        raise RunError(f"{task} failed: {lines[-1]}")
    return {"seconds": seconds, **json.loads(ended.stdout.splitlines()[-1])}


def peak_rss_mib(pid: int) -> int:
    """Most memory that a process ever held, MiB, as Linux counts it (VmHWM).

    Not getrusage: its figure for a child includes the parent from which the child was forked.
    """
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) // 1024
    raise RunError(f"the system does not say how much memory process {pid} took")


def main(task: str, *arguments: str) -> None:
    """Call the function and print its result, with the peak memory, as one line of JSON."""
    if task == _AS_DRIVER:
        give_back_freed_memory()
        task, arguments = arguments[0], arguments[1:]
    module, _, function = task.partition(":")
    result = getattr(import_module(module), function)(*arguments) or {}
    print(json.dumps({"peak_rss_mib": peak_rss_mib(os.getpid()) + result.get(DECODER, 0), **result}))


if __name__ == "__main__":
    main(*sys.argv[1:])
