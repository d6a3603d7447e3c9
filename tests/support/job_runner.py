"""Run the real job as a user does, and read its results."""

from __future__ import annotations

import functools
import hashlib
import io
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from pipeline.config.storage import StorageConfig
from pipeline.ledger.schema import VOLATILE_COLUMNS
from pipeline.storage import open_store
from tests.support.forked_commands import ForkedCommand, run_forked
from tests.support.forked_workers import forked_workers
from tests.support.needs import allowed, until_the_end
from tests.support.paths import REPO
from tests.support.ray_head import TOKEN, ray_head
from tests.support.servers import CREDENTIALS, free_port

JOB = REPO / "jobs" / "colorize_bucket.py"
FAST = ("--set", "model.side=64", "--set", "run.workers=1")
#: The same without Ray: for promises that no engine decides. See the marker `job`.
POOL = (*FAST, "--set", "run.engine=processes")


def command(*args: object) -> list[str]:
    """The command line of the job."""
    return [sys.executable, str(JOB), *map(str, args)]


def shared_head() -> dict[str, str]:
    """The environment of a job on the Ray head that all tests share. The first call starts the head.

    The job's workers are forked: see forked_workers.py.

    A job with its own Ray takes twice as long: Ray's processes start and end with it. For a test without the
    marker `ray`, no head is started: its jobs end before they need one, or fail.
    """
    if not allowed("ray"):
        return {}
    return _head()


@functools.cache
def _head() -> dict[str, str]:
    until_the_end.callback(close_head)
    folder = Path(_while_it_runs.enter_context(tempfile.TemporaryDirectory(prefix="ray-head-")))
    ports = [f"--{name}-port={free_port()}" for name in ("dashboard-agent-listen", "metrics-export")]
    workers = forked_workers()
    address, _ = _while_it_runs.enter_context(ray_head(folder, *ports, "--num-cpus=4", env=CREDENTIALS))
    return TOKEN | workers | {"RAY_ADDRESS": address}


_while_it_runs = ExitStack()


def close_head() -> None:
    """End the shared head, which takes a tenth of a core without work. The next job that needs one starts
    another."""
    _while_it_runs.close()
    _head.cache_clear()


def run(
    *args: object, env: dict[str, str] | None = None, own_ray: bool = False, timeout: float = 240
) -> subprocess.CompletedProcess[str]:
    """Run the job to its end, on the shared head unless `own_ray`, `env` or the engine set something else."""
    given = env or {}
    elsewhere = own_ray or "RAY_ADDRESS" in given or "run.engine=processes" in args
    head = {} if elsewhere else shared_head()
    return run_forked([JOB, *args], os.environ | head | given, timeout=timeout)


def started(*args: object, env: dict[str, str] | None = None) -> ForkedCommand:
    """The job, as it begins: on a Ray of its own, or without Ray, unless `env` names a head."""
    outside = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    return ForkedCommand([JOB, *args], outside | (env or {}))


def run_job(name: str, *args: object, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    """Run another job of `jobs/` to its end, on the shared head."""
    return run_forked(
        [str(JOB.with_name(f"{name}.py")), *map(str, args)], os.environ | shared_head(), timeout=timeout
    )


def photograph(seed: int, width: int = 96, height: int = 72) -> Image.Image:
    """A gray picture with smooth shapes and grain, different for each seed."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    waves = sum(np.sin(rng.uniform(2, 14) * x + rng.uniform(2, 14) * y + rng.uniform(0, 6)) for _ in range(4))
    noisy = 128 + 26 * waves + rng.normal(0, 4, (height, width))
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8), "L")


def encoded(image: Image.Image, format: str = "JPEG", **options: Any) -> bytes:
    """The bytes of the picture in this file format."""
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def fill(uri: str, files: dict[str, bytes], storage: StorageConfig | None = None) -> None:
    """Write files below a folder or bucket prefix."""
    if "://" not in uri:
        Path(uri).mkdir(parents=True, exist_ok=True)
    store = open_store(uri, storage or StorageConfig())
    for key, data in files.items():
        store.put(key, data)


def ledger(uri: str, storage: StorageConfig | None = None) -> list[dict[str, Any]]:
    """All ledger rows below OUT, by key."""
    store = open_store(uri, storage or StorageConfig())
    rows: list[dict[str, Any]] = []
    for result in store.list("ledger/"):
        rows += pq.read_table(io.BytesIO(store.get(result.key).data)).to_pylist()
    return sorted(rows, key=lambda row: row["key"])


def lasting(rows: list[dict[str, Any]], *more: str) -> list[dict[str, Any]]:
    """The rows without the columns that may differ between two runs."""
    return [{k: v for k, v in row.items() if k not in VOLATILE_COLUMNS and k not in more} for row in rows]


def image_digests(uri: str, storage: StorageConfig | None = None) -> dict[str, str]:
    """SHA-256 of every image below OUT/images."""
    store = open_store(uri, storage or StorageConfig())
    keys = [result.key for result in store.list("images/")]
    return {key: hashlib.sha256(store.get(key).data).hexdigest() for key in keys}
