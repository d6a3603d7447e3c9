"""The cost of the gallery compared with colouring: CPU milliseconds per image, as in docs/review.md.

`python -m tests.support.gallery_cost` colours gray JPEGs of 512 x 512 and of 12 megapixels in this process.
What only the gallery needs is measured in these runs, by the CPU clock of the thread that does it: making,
encoding and writing thumbnails. The interval is two standard errors of the mean over the rounds. The work at
the end of a run, a page of all images, is measured separately, on a ledger of many rows.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from pipeline.benchmark.process_tree import Tree
from pipeline.benchmark.sample_photographs import photographs
from pipeline.codecs import in_memory
from pipeline.config.job import JobConfig
from pipeline.config.loading import load
from pipeline.config.storage import StorageConfig
from pipeline.ledger.keys import thumbnail_key, thumbnail_name
from pipeline.plan.plan import make_plan
from pipeline.review.cards import read_cards
from pipeline.review.review import refresh_gallery
from pipeline.run.attempts import AttemptRegistry
from pipeline.shard import finish
from pipeline.shard.fused import FusedWorker
from pipeline.shard.gallery_thumbnails import Pictures
from pipeline.shard.job import Job
from pipeline.storage import open_store
from tests.support.chroma_reference import digest_of
from tests.support.ledger_parts import put_part, row
from tests.support.paths import SAMPLES

COUNTS = {"512": 16, "12mp": 4}
ROUNDS = 6
ROWS = 2000


@contextmanager
def watched() -> Iterator[list[float]]:
    """CPU seconds of each call of what only the gallery needs."""
    spent = list[float]()

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(*given: Any) -> Any:
            began = time.thread_time()
            try:
                return function(*given)
            finally:
                spent.append(time.thread_time() - began)

        return call

    places = (in_memory, "small_source"), (finish, "small_of"), (Pictures, "put_both")
    with ExitStack() as stack:
        for owner, name in places:
            stack.enter_context(patch.object(owner, name, timed(getattr(owner, name))))
        yield spent


def cost(size: str, count: int, folder: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """By round, CPU milliseconds per image: of everything but the gallery, and of its thumbnails."""
    source, tree = photographs(SAMPLES, folder, size, count), Tree(os.getpid())
    config = load(JobConfig, None, ["report.gallery=true"])  # without a plan nothing else switches it on
    job = Job(config, str(source), str(folder / f"out-{size}"), "run", "d", digest_of("faithful"))
    worker, rounds = FusedWorker(job, AttemptRegistry()), list[tuple[float, float]]()
    stores = worker.shard_worker.reader.source, worker.shard_worker.out
    shards = list(make_plan(*stores, config, "d", workers=1).shards)
    try:
        for _ in range(ROUNDS + 1):
            began, *_ = tree.read()
            with watched() as spent:
                for shard in shards:
                    worker.run(shard.shard_id, shard.items)
            ended, *_ = tree.read()
            assert len(spent) == 3 * count
            rounds.append((1000 * (ended - began - sum(spent)) / count, 1000 * sum(spent) / count))
    finally:
        worker.close()
    other, thumbnails = np.array(rounds[1:]).T  # the first one warms up
    return other, thumbnails


def closing(folder: Path) -> tuple[float, float]:
    """CPU milliseconds of the end of a run that finds all thumbnails: for one image, and for each more."""
    spent, tree = [], Tree(os.getpid())
    for count in (1, ROWS):
        out = open_store(str(folder / f"closed-{count}"), StorageConfig())
        rows = [row(f"{number:06d}.jpg") for number in range(count)]
        for one in rows:
            one.source_sha256, one.output_sha256 = (
                sha256(f"{side}{one.key}".encode()).hexdigest() for side in "io"
            )
            one.output_key, one.width, one.height = f"images/{one.key}", 512, 512
            for digest in (one.source_sha256, one.output_sha256):
                out.put(thumbnail_key(JobConfig().report.thumbnail, thumbnail_name(digest)), b"")
        put_part(out, "d", "one", rows)
        began, *_ = tree.read()
        refresh_gallery(JobConfig(), None, out, read_cards(out), of_run="run")
        ended, *_ = tree.read()
        spent.append(1000 * (ended - began))
    return spent[0], (spent[1] - spent[0]) / (ROWS - 1)


def main() -> None:
    """Print all three costs."""
    with tempfile.TemporaryDirectory() as folder:
        fixed, each = closing(Path(folder))
        print(f"end of a run: {fixed:.0f} ms, and {each:.2f} ms for each image of the output")
        for size, count in COUNTS.items():
            other, thumbnails = cost(size, count, Path(folder))
            shares = (thumbnails + each) / other
            error = 2 * shares.std(ddof=1) / ROUNDS**0.5
            print(
                f"{size}: {ROUNDS} x {count} images, colouring {other.mean():.0f} ms, thumbnails "
                f"{thumbnails.mean():.1f} ms, with the end of the run {shares.mean():.1%} ± {error:.1%}"
            )


if __name__ == "__main__":
    main()
