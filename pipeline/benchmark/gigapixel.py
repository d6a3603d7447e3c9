"""Time and memory of colouring one huge master, next to libvips re-encoding the same file as RGB."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pyvips
import torch

from pipeline import __version__
from pipeline.codecs.in_memory import Skip
from pipeline.codecs.isolated.master import IsolatedMaster
from pipeline.codecs.metadata.xmp import Provenance
from pipeline.config.job import JobConfig
from pipeline.errors import RunError
from pipeline.models.method_list import load_colorizer
from pipeline.shard.compose import ComposeSettings
from pipeline.shard.predict import Predictor
from pipeline.shard.streaming import reduce_master, write_master

_GRAIN = 150.0  # levels of 65,536: about that of film scanned at 4,000 dpi; it decides how deflate fares


def compare_master(folder: Path, height: int, width: int, config: JobConfig) -> dict[str, Any]:
    """Make a 16-bit gray TIFF in `folder`, re-encode it, colour it; each in a process of its own.

    Returns seconds and peak resident MiB of both (ours: both of its processes, model and start-up included),
    their ratio, the largest |dL*| and the versions. The files are removed.

    Raises:
        RunError: one of the processes failed; the message says how.
    """
    names = ("master.tif", "reencoded.tif", "colored.tif")
    source, reencoded, colored = (folder / name for name in names)
    try:
        _measured(make_master, source, height, width)
        theirs = _measured(reencode, source, reencoded)
        ours = _measured(colour, source, colored, config)
        sizes = {path.stem: path.stat().st_size for path in (source, reencoded, colored)}
    finally:
        for path in (source, reencoded, colored):
            path.unlink(missing_ok=True)
    return {
        "pixels": f"{width} x {height}, 16-bit gray",
        "libvips_reencode": theirs,
        "fiat_color": ours,
        "time_ratio": round(ours["seconds"] / theirs["seconds"], 2),
        "bytes": sizes,
        "cores": len(os.sched_getaffinity(0)),
        "versions": {
            "fiat-color": __version__,
            "libvips": ".".join(str(pyvips.version(part)) for part in range(3)),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
    }


def make_master(path: Path, height: int, width: int) -> None:
    """Soft shapes under film grain, as a deflate TIFF of 16-bit gray."""
    coarse = pyvips.Image.gaussnoise(width // 600 + 4, height // 600 + 4, sigma=12_000, mean=32_000, seed=1)
    shapes = coarse.resize(600, kernel="cubic").crop(600, 600, width, height)
    grain = pyvips.Image.gaussnoise(width, height, sigma=_GRAIN, mean=0, seed=2)
    image = (shapes + grain).cast("ushort").copy(interpretation="grey16")
    image.tiffsave(str(path), compression="deflate", predictor="horizontal", bigtiff=True)


def reencode(source: Path, target: Path) -> None:
    """The least work that ends in a file of the same kind: gray three times, deflated."""
    image = pyvips.Image.new_from_file(str(source), access="sequential")
    rgb = image.bandjoin([image, image]).copy(interpretation="rgb16")
    rgb.tiffsave(str(target), compression="deflate", predictor="horizontal", bigtiff=True)


def colour(source: Path, target: Path, config: JobConfig) -> dict[str, float]:
    """Colour a file as the job does, and return what was measured."""
    model = config.model
    loaded = load_colorizer(model.method, model.weights, precision=model.precision, device="cpu")
    predictor = Predictor(loaded.colorizer, device="cpu", batch=1)
    provenance = Provenance("algorithmicallyEnhanced", model.method, "", "benchmark", source.name, "")
    limits = config.limits
    with (
        IsolatedMaster(source, pixels=2**40, memory=limits.memory, seconds=3600) as master,
        target.open("w+b") as file,
    ):
        start = time.perf_counter()
        reduced = reduce_master(master, model)
        assert not isinstance(reduced, Skip)
        ab = predictor([reduced.model_L])[0]
        predicted = time.perf_counter()
        outcome = write_master(master, file, ab, provenance, ComposeSettings(chroma=model.chroma))
        done = time.perf_counter()
        decoder = peak_rss_mib(master.pid)
    return {
        "max_delta_l": round(outcome.measures.max_delta_l, 4),
        "seconds_reduce_and_predict": round(predicted - start, 1),
        "seconds_compose_and_write": round(done - predicted, 1),
        "peak_rss_mib_of_the_decoder": decoder,
    }


def _measured(task: Callable[..., dict[str, float] | None], *arguments: object) -> dict[str, float]:
    """Run in a fresh process; its wall-clock seconds, from start to end, and its peak memory."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    start = time.perf_counter()
    process = context.Process(target=_run, args=(theirs, task, arguments))
    process.start()
    theirs.close()
    try:
        result = ours.recv()
    except EOFError:
        result = "it ended without a result"
    process.join()
    if isinstance(result, str):
        raise RunError(f"{task.__name__} failed: {result}")
    return {"seconds": round(time.perf_counter() - start, 1), **result}


def _run(
    connection: Connection, task: Callable[..., dict[str, float] | None], arguments: tuple[object, ...]
) -> None:
    try:
        result = task(*arguments) or {}
    except Exception as error:  # the parent reports it in one line
        connection.send(f"{type(error).__name__}: {' '.join(str(error).split())}")
        return
    decoder = result.get("peak_rss_mib_of_the_decoder", 0)
    connection.send({"peak_rss_mib": peak_rss_mib(os.getpid()) + decoder, **result})


def peak_rss_mib(pid: int) -> int:
    """Most memory that a process ever held, MiB, as Linux counts it (VmHWM).

    Not getrusage: its figure for a child includes the parent from which the child was forked.
    """
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) // 1024
    raise RunError(f"the system does not say how much memory process {pid} took")
