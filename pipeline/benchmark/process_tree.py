"""Run a command and watch all its processes: CPU time and memory of the tree, and what others take meanwhile.

The tree is remembered, so processes that change their parent, as those that Ray starts do, still count.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

from pipeline.engine.descendants import Descendants
from pipeline.errors import ConfigError, RunError

INTERVAL = 0.1
"""Seconds between two readings; one takes some ms of a core."""
_SETTLE = 30.0  # seconds that processes get to end after their command has


@dataclass
class Trace:
    """CPU time and memory of a command, from `started` to `ended` (all times are seconds since the epoch).

    cpu: seconds that the tree had used; system: those of them in the kernel; busy: seconds that the whole
    machine had; rss: resident bytes, summed over the tree, so pages that processes share count in each.
    """

    started: float
    ended: float = 0.0
    times: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    system: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    rss: list[int] = field(default_factory=list)

    def cpu_seconds(self, begin: float, end: float) -> float:
        """CPU time of the tree between two times."""
        return _between(self.times, self.cpu, begin, end)

    def system_seconds(self, begin: float, end: float) -> float:
        """Those of them in the kernel."""
        return _between(self.times, self.system, begin, end)

    def other_cores(self) -> float:
        """Cores that everything else on the machine took, on average."""
        seconds = max(self.times[-1] - self.times[0], 1e-9)
        used = (self.busy[-1] - self.busy[0]) - (self.cpu[-1] - self.cpu[0])
        return max(0.0, used / seconds)

    @property
    def peak_rss(self) -> int:
        """Bytes."""
        return max(self.rss)


def _between(times: list[float], values: list[float], begin: float, end: float) -> float:
    low, high = np.interp([begin, end], times, values)
    return float(high - low)


def _machine_busy() -> float:
    """CPU seconds that all cores have worked since the machine started."""
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)  # already in user and nice
    return float(sum(times) - idle - guests)


class Tree:
    """A process and all that come from it, also after their parents have ended."""

    def __init__(self, root: int) -> None:
        self._family = Descendants(root)
        self._cpu: dict[tuple[int, float], tuple[float, float]] = {}  # by pid and start: pids are used again

    def read(self) -> tuple[float, float, int]:
        """CPU seconds so far, of those that have ended too, those in the kernel, and bytes resident now."""
        members = self._family.living("cpu_times", "memory_info")
        for pid, info in members.items():
            if times := info["cpu_times"]:
                self._cpu[pid, info["create_time"]] = (times.user + times.system, times.system)
        cpu, system = (sum(one[i] for one in self._cpu.values()) for i in (0, 1))
        return cpu, system, sum(i["memory_info"].rss for i in members.values() if i["memory_info"])

    def members(self) -> set[int]:
        """The processes that still run."""
        return set(self._family.living())


def watched(command: list[str], use_cores: int, environment: dict[str, str], log: Path, cwd: Path) -> Trace:
    """Run `command` on the first `use_cores` of the cores that this process may use.

    Raises:
        ConfigError: no Linux. RunError: it failed; its last line is in the message, all of them in `log`.
    """
    if not hasattr(os, "sched_setaffinity"):
        raise ConfigError("the benchmark needs Linux: it gives a command a part of the cores")
    with log.open("wb") as out, _pinned(use_cores):
        trace = Trace(time.time())
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **environment}, cwd=cwd
        )
    tree = Tree(process.pid)
    try:
        _watch(process, tree, trace)
    finally:
        _settle(process, tree)
    if process.returncode:
        lines = log.read_text(errors="replace").strip().splitlines() or ["it printed nothing"]
        raise RunError(f"{' '.join(command[1:4])} ended with {process.returncode}: {lines[-1]} (see {log})")
    return trace


def _watch(process: subprocess.Popen[bytes], tree: Tree, trace: Trace) -> None:
    while True:
        cpu, system, rss = tree.read()
        trace.times.append(time.time())
        trace.cpu.append(cpu)
        trace.system.append(system)
        trace.busy.append(_machine_busy())
        trace.rss.append(rss)
        try:
            process.wait(INTERVAL)
        except subprocess.TimeoutExpired:
            continue
        trace.ended = time.time()
        return


def _settle(process: subprocess.Popen[bytes], tree: Tree) -> None:
    """Wait until nothing of it runs beside what is measured next; after a while, end it."""
    if process.poll() is None:
        process.terminate()
    deadline = time.monotonic() + _SETTLE
    while left := tree.members():
        if time.monotonic() > deadline:
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            break
        time.sleep(0.1)
    process.wait()


@contextmanager
def _pinned(use_cores: int) -> Iterator[None]:
    """What is started inside inherits the cores."""
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(sorted(mine)[:use_cores]))
    try:
        yield
    finally:
        os.sched_setaffinity(0, mine)
