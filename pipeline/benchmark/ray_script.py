"""The script that Ray's documentation teaches for images: read_images, map_batches on actors, write_images.

Run as `python -m pipeline.benchmark.ray_script TASK`. After docs.ray.io, "Working with images" and "Offline
batch inference". What it loses, compared with the job: `pipeline/benchmark/performance.md.in` says.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import ray
import ray.data

from pipeline.benchmark.simple import SimpleColorizer
from pipeline.benchmark.task import Said, Task, read_task

_BATCH = 8
# Workers that hold all logical CPUs would leave none to the tasks that read: the chain would never begin.
_CPUS_FOR_READING = 1


class Colorizer:
    """The class that Ray Data makes an actor of."""

    def __init__(self, task: Task, ready: Path) -> None:
        self.color = SimpleColorizer(task.config())
        (ready / str(os.getpid())).write_text(str(time.time()))  # for the benchmark: start-up is over

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        batch["image"] = [self.color(image) for image in batch["image"]]
        return batch


def main() -> None:
    """Colour all of it, say when."""
    task = read_task()
    ready = task.output.with_name(task.output.name + "-ready")
    ready.mkdir(parents=True, exist_ok=True)
    ray.init(address="local", num_cpus=task.workers + _CPUS_FOR_READING, include_dashboard=False)
    images = ray.data.read_images(str(task.source), mode="RGB")
    colored = images.map_batches(
        Colorizer,
        fn_constructor_args=(task, ready),
        batch_size=_BATCH,
        compute=ray.data.ActorPoolStrategy(size=task.workers),
    )
    colored.write_images(str(task.output), column="image", file_format="jpeg")
    ended = time.time()
    began = min(float(path.read_text()) for path in ready.iterdir())
    ray.shutdown()
    print(Said(began=began, ended=ended).model_dump_json(), flush=True)


if __name__ == "__main__":
    main()
