"""Measure the cost per image of each network (CPU seconds and peak memory), each in a separate process.

`python -m pipeline.evaluate.cost` is that process: it reads an `Order` from stdin and prints a `Cost`, both
as JSON.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import child_python_path
from pipeline.config.storage import StorageConfig
from pipeline.errors import RunError
from pipeline.evaluate.settings import EvaluateConfig, NetworkEntry

U16 = NDArray[np.uint16]

_SECONDS = 1800.0
_KIB = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss: bytes on macOS, KiB on Linux


@dataclass(frozen=True)
class Cost:
    """CPU seconds of an image, all threads together: its chroma and its composition; and the peak resident
    bytes of the process, with Python, libraries, weights and pictures."""

    cpu_seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class Order:
    """One entry, and a file with the lightness `L_u16` of the photographs."""

    entry: dict[str, Any]
    precision: str
    storage: dict[str, Any]
    pictures: str


def measure_costs(config: EvaluateConfig, pictures: Sequence[U16]) -> dict[str, Cost]:
    """By entry; empty where there are no pictures. One network after the other, on one core each.

    Raises RunError where a process fails, with its last line.
    """
    if not pictures:
        return {}
    with tempfile.TemporaryDirectory(prefix="cost-") as folder:
        file = Path(folder) / "pictures.npz"
        np.savez(file, *pictures)
        return {entry.name: _in_a_process(entry, config, file) for entry in config.evaluate.entries}


def _in_a_process(entry: NetworkEntry, config: EvaluateConfig, file: Path) -> Cost:
    order = Order(
        entry.model_dump(mode="json"),
        config.evaluate.precision,
        config.storage.model_dump(mode="json"),
        str(file),
    )
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.evaluate.cost"],
        input=json.dumps(asdict(order)),
        capture_output=True,
        text=True,
        cwd=Path.cwd(),
        env=os.environ | {"PYTHONPATH": child_python_path(), "OMP_NUM_THREADS": "1"},
        timeout=_SECONDS,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"its process ended with status {done.returncode}"])[-1]
        raise RunError(f"the cost of {entry.name} cannot be measured: {last}")
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def measure(order: Order) -> Cost:
    """The cost of one network in this process; the first picture loads and compiles, and counts for the
    memory alone."""
    from pipeline.color.luminance import downscale_luminance
    from pipeline.evaluate.coloring import open_coloring
    from pipeline.shard.compose import compose

    entry, storage = NetworkEntry.model_validate(order.entry), StorageConfig.model_validate(order.storage)
    coloring = open_coloring(entry, order.precision, storage)
    with np.load(order.pictures) as stored:
        pictures = [stored[name] for name in stored.files]
    began = 0.0
    for number, l_u16 in enumerate([pictures[0], *pictures]):
        if number == 1:
            began = time.process_time()
        compose(l_u16, coloring(downscale_luminance(l_u16, -(-max(l_u16.shape) // 8) * 8)))
    seconds = (time.process_time() - began) / len(pictures)
    return Cost(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB)


if __name__ == "__main__":
    print(json.dumps(asdict(measure(Order(**json.load(sys.stdin))))))
