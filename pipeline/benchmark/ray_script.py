"""The script that Ray's documentation teaches for images: read_images, map_batches on actors, write_images.

Run as `python -m pipeline.benchmark.ray_script TASK`; the chain is
`pipeline.benchmark.ray_documented`. `performance.md.in` compares it with the job.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from pipeline.benchmark.ray_documented import documented_chain, end
from pipeline.benchmark.simple import SimpleColorizer
from pipeline.benchmark.task import ScriptReport, Task, read_task


class Colorizer:
    """The class that Ray Data makes an actor of."""

    def __init__(self, task: Task, ready: Path) -> None:
        self.color = SimpleColorizer(task.config())
        (ready / str(os.getpid())).write_text(str(time.time()))  # for the benchmark: start-up is over

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        batch["image"] = [self.color(image) for image in batch["image"]]
        return batch


def main() -> None:
    """Colour the whole folder, and print the times."""
    task = read_task()
    ready = task.output.with_name(task.output.name + "-ready")
    ready.mkdir(parents=True, exist_ok=True)
    documented_chain(str(task.source), str(task.output), task.workers, Colorizer, (task, ready))
    ended = time.time()
    began = min(float(path.read_text()) for path in ready.iterdir())
    end()
    print(ScriptReport(began=began, ended=ended).model_dump_json(), flush=True)


if __name__ == "__main__":
    main()
