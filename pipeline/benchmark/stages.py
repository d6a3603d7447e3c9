"""The job's stages alone, one process, one thread. Run as `python -m pipeline.benchmark.stages TASK`."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline import IMPORT_ROOT
from pipeline.benchmark.process_tree import watched
from pipeline.benchmark.results import StageTime
from pipeline.benchmark.sample_photographs import photographs
from pipeline.benchmark.sum_of_parts import least
from pipeline.benchmark.task import ScriptReport, Task, read_report, read_task
from pipeline.codecs import in_memory
from pipeline.codecs.metadata.xmp import Provenance
from pipeline.codecs.pixels import NoImage, read_pixels
from pipeline.color.luminance import downscale_luminance, luminance_u16_from_gray8
from pipeline.config.job import JobConfig
from pipeline.errors import RunError
from pipeline.models.method_list import load_colorizer
from pipeline.shard.compose import compose

_CALLS = 3
_SIZES = ("512", "2mp", "12mp")
_COLD = """
import time
start = time.perf_counter()
import numpy as np
from pipeline.color.luminance import luminance_u16_from_srgb8
from pipeline.shard.compose import compose
imported = time.perf_counter()
lightness = luminance_u16_from_srgb8(np.full((64, 64, 3), 99, np.uint8))
for depth in (8, 16):
    compose(lightness, np.zeros((2, 8, 8), np.float32), depth=depth)
print(time.perf_counter() - imported)
"""


def measure_stages(samples: Path, folder: Path, overrides: list[str]) -> list[StageTime]:
    """Every stage on a photograph of each size. Raises RunError where one fails."""
    times = []
    for size in _SIZES:
        source = photographs(samples, folder, size, 1)
        task = Task(source=source, output=folder / "out", workers=1, overrides=overrides)
        command = [sys.executable, "-m", "pipeline.benchmark.stages", task.model_dump_json()]
        log = folder / "stages.log"
        watched(command, 1, {"PYTHONPATH": str(IMPORT_ROOT), "OMP_NUM_THREADS": "1"}, log, IMPORT_ROOT)
        parts = read_report(log).parts
        pixels = parts.pop("megapixels")
        times += [
            StageTime(stage=name, size=size, megapixels=pixels, cpu_seconds=seconds)
            for name, seconds in parts.items()
        ]
    return times


def cold_start() -> dict[str, float]:
    """Seconds of the first use of the compiled kernels in a process: compiling them, and loading them."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "PYTHONPATH": str(IMPORT_ROOT), "NUMBA_CACHE_DIR": cache}
        seconds = []
        for _ in range(2):
            done = subprocess.run(
                [sys.executable, "-c", _COLD], env=environment, capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise RunError(f"the kernels did not compile: {done.stderr.strip().splitlines()[-1]}")
            seconds.append(float(done.stdout))
    return {"compiled (the first process ever)": seconds[0], "loaded from the cache": seconds[1]}


def _stages(data: bytes, config: JobConfig) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Each stage on one photograph, by name."""
    model, limits = config.model, in_memory.DecodeLimits(pixels=config.limits.pixels)
    pixels = read_pixels(data, "a.jpg", None, limits)
    assert not isinstance(pixels, NoImage)
    lightness = luminance_u16_from_gray8(pixels.array)
    L_11HW = torch.from_numpy(downscale_luminance(lightness, model.side))[None, None]
    decoded = in_memory.decode(
        data, "a.jpg", None, limits, model_side=model.side, skip_color=True, color_threshold=3
    )
    assert isinstance(decoded, in_memory.Decoded)
    provenance = Provenance("algorithmicallyEnhanced", model.method, "", "benchmark", "a.jpg", "")
    yield "decode (JPEG)", lambda: read_pixels(data, "a.jpg", None, limits)
    yield "luminance", lambda: luminance_u16_from_gray8(pixels.array)
    yield "reduce to the network's input", lambda: downscale_luminance(lightness, model.side)
    for precision in ("fp32", "bf16", "auto"):
        loaded = load_colorizer(model.method, model.weights, precision=precision)
        name = f"predict, {precision}" + (f" ({loaded.precision})" if precision == "auto" else "")
        yield name, lambda network=loaded.colorizer: _predict(network, L_11HW)  # type: ignore[misc]
    with torch.inference_mode():
        ab = loaded.colorizer.predict_ab(L_11HW).float()[0].numpy()
    for depth in (8, 16):
        yield f"compose, {depth} bit", lambda depth=depth: compose(lightness, ab, depth=depth)  # type: ignore[misc]
    rgb8, rgb16 = compose(lightness, ab).rgb, compose(lightness, ab, depth=16).rgb
    for format_, rgb in _encoded(rgb8, rgb16):
        output = config.output.model_copy(update={"format": format_})
        yield (
            f"encode ({format_}, {8 * rgb.itemsize} bit)",
            lambda rgb=rgb, output=output: in_memory.encode(rgb, decoded, None, output, provenance),  # type: ignore[misc]
        )


def _encoded(rgb8: Any, rgb16: Any) -> list[tuple[str, Any]]:
    """Formats, each with the pixels that are written in it."""
    return [("jpeg", rgb8), ("png", rgb8), ("png", rgb16), ("tiff", rgb8), ("tiff", rgb16)]


def _predict(network: Any, L_11HW: torch.Tensor) -> None:
    with torch.inference_mode():
        network.predict_ab(L_11HW)


def main() -> None:
    """Measure them on the task's one photograph."""
    task = read_task()
    torch.set_num_threads(1)
    data = (task.source / task.keys()[0]).read_bytes()
    began = time.time()
    times = {name: least(_CALLS, function)[1] for name, function in _stages(data, task.config())}
    pixels = read_pixels(data, "a.jpg", None, in_memory.DecodeLimits(pixels=2**40))
    assert not isinstance(pixels, NoImage)
    parts = {"megapixels": np.size(pixels.array) / 1e6, **times}
    print(ScriptReport(began=began, ended=time.time(), parts=parts).model_dump_json())


if __name__ == "__main__":
    main()
