"""The lower bound: only the parts that cannot be left out (decode, network, encode), in one process.

Run as `python -m pipeline.benchmark.sum_of_parts TASK`. Nothing is composed, hashed, checked, read or
written.
"""

from __future__ import annotations

import io
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from pipeline.benchmark.sample_photographs import SIZES
from pipeline.benchmark.task import ScriptReport, Task, read_task
from pipeline.color.luminance import downscale_luminance, luminance_u16_from_gray8
from pipeline.models.method_list import load_colorizer
from pipeline.shard.compose import compose

_BATCHES = (1, 2, 4, 8)
_CALLS = 3


def least(calls: int, function: Callable[[], Any]) -> tuple[float, float]:
    """The least wall and CPU seconds of several calls, after one that does not count."""
    function()
    wall, cpu = [], []
    for _ in range(calls):
        start, start_cpu = time.perf_counter(), time.process_time()
        function()
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - start_cpu)
    return min(wall), min(cpu)


def network_seconds(task: Task, inputs: list[np.ndarray[Any, Any]]) -> tuple[float, float]:
    """Wall and CPU seconds for all inputs together, each shape at the batch that is fastest for it."""
    model = task.config().model
    network = load_colorizer(model.method, model.weights, precision=model.precision).colorizer
    by_shape: dict[tuple[int, ...], list[np.ndarray[Any, Any]]] = defaultdict(list)
    for one in inputs:
        by_shape[one.shape].append(one)
    wall = cpu = 0.0
    for same in by_shape.values():
        best = (float("inf"), float("inf"))
        for batch in _BATCHES:
            L_B1HW = torch.from_numpy(np.stack([same[i % len(same)] for i in range(batch)])[:, None])
            with torch.inference_mode():
                seconds = least(_CALLS, lambda L=L_B1HW: network.predict_ab(L))  # type: ignore[misc]
            best = min(best, (seconds[0] / batch, seconds[1] / batch))
        wall, cpu = wall + best[0] * len(same), cpu + best[1] * len(same)
    return wall, cpu


def codec_seconds(path: Path, quality: int) -> tuple[float, float, float, float, np.ndarray[Any, Any]]:
    """Wall and CPU seconds to decode and to encode one photograph, and its lightness."""
    data = path.read_bytes()

    def decode() -> np.ndarray[Any, Any]:
        return np.asarray(Image.open(io.BytesIO(data)).convert("L"))

    lightness = luminance_u16_from_gray8(decode())
    chroma = np.full((2, 8, 8), 12, np.float32)
    colored = Image.fromarray(compose(lightness, chroma).rgb)

    def encode() -> None:
        colored.save(io.BytesIO(), "JPEG", quality=quality, subsampling=0)

    return *least(_CALLS, decode), *least(_CALLS, encode), lightness


def main() -> None:
    """Measure on as many photographs as all sizes take, and print the mean."""
    task = read_task()
    torch.set_num_threads(1)
    keys = task.keys()[: max(4, max(map(len, SIZES.values())))]
    config = task.config()
    wall, cpu, inputs = defaultdict[str, float](float), 0.0, []
    for key in keys:
        decode, decode_cpu, encode, encode_cpu, lightness = codec_seconds(
            task.source / key, config.output.quality
        )
        wall["decode"] += decode
        wall["encode"] += encode
        cpu += decode_cpu + encode_cpu
        inputs.append(downscale_luminance(lightness, config.model.side))
    wall["network"], network_cpu = network_seconds(task, inputs)
    count = len(keys)
    parts = {name: seconds / count for name, seconds in wall.items()}
    report = ScriptReport(seconds=sum(parts.values()), cpu_seconds=(cpu + network_cpu) / count, parts=parts)
    print(report.model_dump_json())


if __name__ == "__main__":
    main()
