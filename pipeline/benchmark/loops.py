"""Two loops over processes without Ray, run as `python -m pipeline.benchmark.loops plain|same_work TASK`.

plain: what a user writes, `simple.SimpleColorizer` between Pillow's decoder and encoder.
same_work: the strongest loop there is: our own decoding, composing and encoding, but no ledger and no
isolation of the decoder; files are read and written in place. Its outputs are ours to the byte.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from PIL import Image

from pipeline.benchmark.simple import SimpleColorizer
from pipeline.benchmark.task import DATE, ScriptReport, Task, read_task
from pipeline.codecs import in_memory
from pipeline.models.method_list import open_weights
from pipeline.records import Item
from pipeline.shard.finish import finish_image
from pipeline.shard.job import Job
from pipeline.shard.predictors import open_predictor

Color = Callable[[str], None]


def plain(task: Task) -> Color:
    """As a user would write it."""
    colorizer, quality = SimpleColorizer(task.config()), task.config().output.quality

    def color(key: str) -> None:
        with Image.open(task.source / key) as image:
            pixels = np.asarray(image.convert("RGB"))
        Image.fromarray(colorizer(pixels)).save(task.output / key, quality=quality, subsampling=0)

    return color


def same_work(task: Task) -> Color:
    """Everything that the job does to pixels and files."""
    config = task.config()
    weights = open_weights(config.model.method, config.model.weights)
    places = (str(task.source), str(task.output), "benchmark", "benchmark")
    job = Job(config, *places, weights.digest, DATE, weights.card)
    predictor = open_predictor(job, "cpu")
    limits = in_memory.DecodeLimits(pixels=config.limits.pixels, memory=config.limits.memory)
    settings = {"model_side": config.model.side, "color_threshold": config.model.color_threshold}

    def color(key: str) -> None:
        source = (task.source / key).read_bytes()
        decoded = in_memory.decode(source, key, None, limits, skip_color=True, **settings)  # type: ignore[arg-type]
        assert isinstance(decoded, in_memory.Decoded)
        ab = predictor.guesses([decoded.model_L])[0].ab_2hw  # and the doubt about it, as in the job
        sha256, image = hashlib.sha256(source).hexdigest(), job.source_image(Item(key, "", len(source)))
        finished = finish_image(decoded, ab, image, sha256, job)
        (task.output / key).write_bytes(finished.data)

    return color


KINDS: dict[str, Callable[[Task], Color]] = {"plain": plain, "same_work": same_work}

_color: Color | None = None


def _start(kind: str, task: Task) -> None:
    """Start a process: load and warm up before the first image counts, as the job's workers do."""
    global _color
    _color = KINDS[kind](task)
    _color(task.keys()[0])


def _timed(key: str) -> tuple[float, float]:
    assert _color is not None
    began = time.time()
    _color(key)
    return began, time.time()


def main() -> None:
    """Colour the whole folder, and print the times."""
    kind, task = sys.argv[1], read_task()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(task.workers, context, _start, (kind, task)) as processes:
        times = list(processes.map(_timed, task.keys()))
    report = ScriptReport(began=min(began for began, _ in times), ended=max(ended for _, ended in times))
    print(report.model_dump_json())


if __name__ == "__main__":
    main()
