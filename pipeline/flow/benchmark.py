"""What the batch job costs over the plainest loop that does the same work, on the same machine in one go.

The loop is as good as a loop can be: one process per core, the same decode, network, composition and encoder,
no Ray, no ledger, no isolation, files read and written in place. Rates exclude start-up on both sides.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import platform
import subprocess
import sys
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path

from PIL import Image, ImageOps

from pipeline.codecs import everyday
from pipeline.config import JobConfig
from pipeline.flow.cluster import cores
from pipeline.flow.finish import finish_image
from pipeline.flow.job import Job
from pipeline.flow.predictors import open_predictor
from pipeline.models.registry import weights_digest
from pipeline.records import Item

_JOB = Path(__file__).resolve().parents[2] / "jobs" / "colorize_bucket.py"


def make_photographs(samples: Path, folder: Path, count: int, side: int) -> None:
    """`count` different gray JPEGs of side x side pixels, cut and mirrored from the sample photographs."""
    folder.mkdir(parents=True, exist_ok=True)
    found = sorted(path for path in samples.iterdir() if path.suffix in (".jpg", ".png"))
    for index in range(count):
        with Image.open(found[index % len(found)]) as image:
            gray = image.convert("L")
        turn = index // len(found)
        place = ((turn % 7) / 6, (turn % 5) / 4)
        cut = ImageOps.fit(gray, (side, side), Image.Resampling.BICUBIC, bleed=0.002 * turn, centering=place)
        (ImageOps.mirror(cut) if turn % 2 else cut).save(folder / f"{index:05d}.jpg", quality=90)


def loop_rate(job: Job, keys: list[str], processes: int) -> float:
    """Images per second of the plain loop, from the moment that every process is warm."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(processes + 1)
    Path(job.output).mkdir(parents=True, exist_ok=True)
    workers = [
        context.Process(target=_loop, args=(job, keys[i::processes], barrier)) for i in range(processes)
    ]
    for worker in workers:
        worker.start()
    barrier.wait()
    start = time.perf_counter()
    for worker in workers:
        worker.join()
        if worker.exitcode:
            raise RuntimeError("the plain loop failed")
    return len(keys) / (time.perf_counter() - start)


def _loop(job: Job, keys: list[str], barrier: Barrier) -> None:
    predictor = open_predictor(job, "cpu")
    model = job.config.model
    limits = everyday.DecodeLimits(pixels=job.config.limits.pixels, memory=job.config.limits.memory)

    def color(key: str) -> None:
        source = (Path(job.input) / key).read_bytes()
        decoded = everyday.decode(
            source,
            key,
            None,
            limits,
            model_side=model.side,
            skip_color=True,
            color_threshold=model.color_threshold,
        )
        assert isinstance(decoded, everyday.Decoded)
        sha256, item = hashlib.sha256(source).hexdigest(), Item(key, "", len(source))
        finished = finish_image(decoded, predictor([decoded.model_L])[0], item, sha256, job)
        (Path(job.output) / key).write_bytes(finished.data)

    color(keys[0])
    barrier.wait()
    for key in keys:
        color(key)


def compare(samples: Path, folder: Path, count: int, side: int, config: JobConfig) -> dict[str, object]:
    """Run both, the loop before and after the job (machines drift), and return the figures."""
    source = folder / f"gray-{count}-{side}"
    make_photographs(samples, source, count, side)
    keys = sorted(path.name for path in source.iterdir())
    digest = weights_digest(config.model.method, config.model.weights)
    job = Job(config, str(source), str(folder / "loop"), "benchmark", "benchmark", digest)
    before = loop_rate(job, keys, cores())
    out = folder / f"job-{time.time_ns()}"
    options = [
        f"--set={name}"
        for name in ("run.topology=fused", "report.sample=0", f"model.side={config.model.side}")
    ]
    subprocess.run(
        [sys.executable, str(_JOB), "--input", str(source), "--output", str(out), *options], check=True
    )
    after = loop_rate(job, keys, cores())
    summary = json.loads(next(out.glob("runs/*/summary.json")).read_text())
    same = all((out / "images" / key).read_bytes() == (folder / "loop" / key).read_bytes() for key in keys)
    loop = (before + after) / 2
    return {
        "machine": f"{platform.machine()}, {cores()} cores, Python {platform.python_version()}",
        "versions": summary["versions"],
        "images": f"{count} gray JPEGs of {side} x {side}",
        "loop_images_per_second": [round(before, 2), round(after, 2)],
        "job_images_per_second": round(summary["images_per_second"], 2),
        "job_start_seconds": round(summary["seconds"]["start"], 1),
        "job_over_loop": round(summary["images_per_second"] / loop, 3),
        "same_bytes": same,
    }
