"""A separate Ray head for a test, started as the systemd unit starts it."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.needs import require
from tests.support.paths import REPO
from tests.support.processes import ends_with_us
from tests.support.servers import free_port

#: For the head and for who talks to it.
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}

# Workers that Ray starts before a job is there have no runtime environment. Each job brings one, so it cannot
# use them. The monitor of log files looks for new ones twice a second, not ten times: there are hundreds.
_HEAD = {
    "RAY_USAGE_STATS_ENABLED": "0", "RAY_prestart_worker_first_driver": "0",
    "RAY_LOG_MONITOR_MANY_FILES_THRESHOLD": "1",
}  # fmt: skip


@contextmanager
def ray_head(folder: Path, *options: str, env: dict[str, str] | None = None) -> Iterator[tuple[str, int]]:
    """Start a head; yields its address and process id, and ends all its processes afterwards. The head gets
    `env`."""
    port = free_port()
    command = ("start", "--head", "--node-ip-address=127.0.0.1", f"--port={port}", "--num-cpus=3")
    environment = os.environ | TOKEN | _HEAD | (env or {})
    with started(
        [*command, "--include-dashboard=false", *options], environment, folder / "head.log"
    ) as process:
        yield f"127.0.0.1:{port}", process


@contextmanager
def started(arguments: list[str], environment: dict[str, str], log: Path) -> Iterator[int]:
    """Run `ray ARGUMENTS` with `--block`, so that it ends with the block: `ray stop` would end every Ray on
    the machine. Yields its process id."""
    require("ray")
    ray = (sys.executable, "-m", "tests.support.ray_start")
    with log.open("w") as written:
        head = subprocess.Popen(
            [*ends_with_us("TERM"), *ray, *arguments, "--block"],
            env={**environment, "PYTHONPATH": str(REPO)}, stdout=written, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while "Ray runtime started" not in log.read_text():
            assert head.poll() is None, log.read_text()
            assert time.monotonic() < deadline, f"no Ray head in two minutes: {log.read_text()}"
            time.sleep(0.25)
        yield head.pid
    finally:
        with suppress(ProcessLookupError):  # it has not started: what it said of that counts
            os.killpg(head.pid, signal.SIGTERM)
        try:
            head.wait(5)  # Ray would take half a minute over its own end, and what is told here is over
        except subprocess.TimeoutExpired:
            os.killpg(head.pid, signal.SIGKILL)
            head.wait(60)
