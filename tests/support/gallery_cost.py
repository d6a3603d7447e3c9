"""What the gallery costs beside colouring: CPU milliseconds an image, as docs/review.md states them.

`python -m tests.support.gallery_cost` colours gray JPEGs of 512 x 512 and of 12 megapixels in this process,
then writes the gallery of each output.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from pipeline.benchmark.process_tree import Tree
from pipeline.benchmark.sample_photographs import photographs
from pipeline.config.job import JobConfig
from pipeline.plan.plan import make_plan
from pipeline.review.cards import read_cards
from pipeline.review.review import refresh_gallery
from pipeline.run.attempts import AttemptRegistry
from pipeline.shard.fused import FusedWorker
from pipeline.shard.job import Job
from tests.support.chroma_reference import digest_of
from tests.support.paths import SAMPLES

COUNTS = {"512": 16, "12mp": 4}


def cost(size: str, count: int, folder: Path) -> tuple[float, float]:
    """CPU milliseconds an image, of colouring and of the gallery."""
    config, out = JobConfig(), folder / f"out-{size}"
    source = photographs(SAMPLES, folder, size, count)
    job = Job(config, str(source), str(out), "run", "d", digest_of("faithful"))
    worker, tree = FusedWorker(job, AttemptRegistry()), Tree(os.getpid())
    stores = worker.shard_worker.reader.source, worker.shard_worker.out
    plan = make_plan(*stores, config, "d", workers=1)
    try:
        began, *_ = tree.read()
        for shard in plan.shards:
            worker.run(shard.shard_id, shard.items)
        coloured, *_ = tree.read()
        refresh_gallery(config, *stores, read_cards(stores[1]))
        ended, *_ = tree.read()
    finally:
        worker.close()
    return 1000 * (coloured - began) / count, 1000 * (ended - coloured) / count


def main() -> None:
    """Print both for each size."""
    with tempfile.TemporaryDirectory() as folder:
        for size, count in COUNTS.items():
            colouring, gallery = cost(size, count, Path(folder))
            share = f"{gallery / colouring:.1%}"
            print(f"{size}: {count} images, colouring {colouring:.0f} ms, gallery {gallery:.0f} ms ({share})")


if __name__ == "__main__":
    main()
