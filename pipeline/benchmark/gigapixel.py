"""Measure time and memory for colouring one huge master, compared with libvips re-encoding it as RGB."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyvips
import torch

from pipeline import __version__
from pipeline.benchmark.fresh_process import DECODER, measured, peak_rss_mib
from pipeline.benchmark.libvips_masters import make_master
from pipeline.codecs.in_memory import Skip
from pipeline.codecs.isolated.master import IsolatedMaster
from pipeline.codecs.metadata.xmp import Provenance
from pipeline.config.job import JobConfig
from pipeline.models.method_list import load_colorizer
from pipeline.shard.master_colouring import MasterSettings, reduce_master, write_pages
from pipeline.shard.predict import Predictor


def compare_master(folder: Path, height: int, width: int, config: JobConfig) -> dict[str, Any]:
    """Make a 16-bit gray TIFF in `folder`, re-encode it, colour it; the last two each in a fresh Python.

    Returns seconds and peak resident MiB of both (ours: both of its processes, model and start-up included),
    their ratio, the largest |dL*| and the versions. The files are removed.

    Raises:
        RunError: one of the two failed; the message says how.
    """
    names = ("master.tif", "reencoded.tif", "colored.tif")
    source, reencoded, colored = (folder / name for name in names)
    try:
        make_master(source, height, width)
        theirs = measured("pipeline.benchmark.libvips_masters:reencode", str(source), str(reencoded))
        settings = config.model_dump_json()
        ours = measured("pipeline.benchmark.gigapixel:colour", str(source), str(colored), settings)
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


def colour(source: str, target: str, settings: str) -> dict[str, float]:
    """Colour a file as the job does under `settings` (a JobConfig as JSON), and return what was measured."""
    config = JobConfig.model_validate_json(settings)
    model = config.model
    loaded = load_colorizer(model.method, model.weights, precision=model.precision, device="cpu")
    predictor = Predictor(loaded.colorizer, device="cpu", batch=1)
    provenance = Provenance("algorithmicallyEnhanced", model.method, "", "benchmark", Path(source).name, "")
    limits = config.limits
    with (
        IsolatedMaster(Path(source), pixels=2**40, memory=limits.memory, seconds=3600) as master,
        Path(target).open("w+b") as file,
    ):
        start = time.perf_counter()
        reduced = reduce_master(master, model)
        assert not isinstance(reduced, Skip)
        ab = predictor([*reduced.L_pages])[0]
        predicted = time.perf_counter()
        outcome = write_pages(master, [0], file, [ab], provenance, MasterSettings(model))
        done = time.perf_counter()
        decoder = peak_rss_mib(master.pid)
    return {
        "max_delta_l": round(outcome.measures.max_delta_l, 4),
        "seconds_reduce_and_predict": round(predicted - start, 1),
        "seconds_compose_and_write": round(done - predicted, 1),
        DECODER: decoder,
    }
