"""Ray workers that import nothing: like commands, they are forked from a process that imported everything.

Python's imports take two thirds of the time of a worker in a small job. Ray starts `worker_client.py` in
place of its own program (see `worker_client.lend`). The client asks the process of `serve` for the worker.
The worker registers with Ray under its own process id, and Ray's signals reach it.

Tests of how workers start or die, or of what they do with their environment, use workers that Ray starts.
"""

from __future__ import annotations

import functools
import gc
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.support import worker_client
from tests.support.forked_commands import WITHOUT_THREADS, serve
from tests.support.needs import until_the_end
from tests.support.paths import REPO
from tests.support.processes import ends_with_us, of_session

# Not Ray: its core reads the job's number, which is in the environment of each worker, when it is imported.
_MODULES = (
    "torch", "torch._dynamo", "pandas", "pyarrow.dataset", "boto3", "scipy.ndimage", "skimage.color",
    "tensorboardX",
    "pipeline.shard.fused", "pipeline.training.data.batches", "pipeline.evaluate.measure",
    "google.protobuf.message", "jsonschema", "opentelemetry.sdk.metrics", "prometheus_client", "psutil",
    "requests", "aiohttp",
)  # fmt: skip


_server: list[int] = []


def forked_now() -> set[int]:
    """The process ids of the workers that have been forked and have not ended, and of their children."""
    return {pid for server in _server for pid in of_session(server)}


@functools.cache
def forked_workers() -> dict[str, str]:
    """The environment variables that a command needs so that its workers are forked.

    The Ray of the command must start its workers with our client (`worker_client.lend`). The first call
    starts the process that forks them; clients wait for it.
    """
    place = Path(until_the_end.enter_context(tempfile.TemporaryDirectory(prefix="workers-"))) / "socket"
    server = subprocess.Popen(
        [*ends_with_us("KILL"), sys.executable, "-m", __name__, str(place)], stdin=subprocess.DEVNULL,
        env={**os.environ, **WITHOUT_THREADS, "PYTHONPATH": str(REPO)}, cwd=REPO, start_new_session=True,
    )  # fmt: skip
    _server.append(server.pid)
    until_the_end.callback(lambda: (server.kill(), server.wait()))
    return {"RAY_RUNTIME_ENV_HOOK": f"{__name__}.hook", worker_client.PLACE: str(place)}


def hook(runtime_env: dict[str, Any] | None) -> dict[str, Any]:
    """Called by `ray.init`: the job's runtime environment, with the socket for our client."""
    given = runtime_env or {}
    place = {worker_client.PLACE: os.environ[worker_client.PLACE]}
    return {**given, "env_vars": {**given.get("env_vars", {}), **place}}


if __name__ == "__main__":
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        unready = Path(sys.argv[1]).with_suffix(".unready")
        listener.bind(str(unready))
        listener.listen(64)
        for module in _MODULES:
            __import__(module)
        from pipeline.shard import fused

        fused.load_kernels()
        assert "ray" not in sys.modules
        gc.freeze()
        unready.rename(sys.argv[1])
        serve(listener)
