"""A real Ray head of a test's own, as the systemd unit starts it."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.job_runner import REPO
from tests.servers import free_port

#: For the head and for who talks to it.
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}

#: Linux asks the head to end when the tests are killed; elsewhere it stays behind.
_ENDS_WITH_US = ("setpriv", "--pdeathsig", "TERM") if shutil.which("setpriv") else ()


@contextmanager
def ray_head(folder: Path, *options: str, env: dict[str, str] | None = None) -> Iterator[tuple[str, int]]:
    """Its address and process id; ended with all its processes. `env` goes to the head."""
    port = free_port()
    log = folder / "head.log"
    started = subprocess.Popen(
        [
            *_ENDS_WITH_US,
            str(Path(sys.executable).with_name("ray")),
            *("start", "--head", "--block", "--node-ip-address=127.0.0.1", f"--port={port}"),
            *("--num-cpus=3", "--include-dashboard=false", *options),
        ],
        env=os.environ | TOKEN | {"PYTHONPATH": str(REPO), "RAY_USAGE_STATS_ENABLED": "0"} | (env or {}),
        stdout=log.open("w"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 120
        while "Ray runtime started" not in log.read_text():
            assert started.poll() is None, log.read_text()
            assert time.monotonic() < deadline, f"no Ray head in two minutes: {log.read_text()}"
            time.sleep(0.25)
        yield f"127.0.0.1:{port}", started.pid
    finally:
        os.killpg(started.pid, signal.SIGTERM)
        started.wait(180)
