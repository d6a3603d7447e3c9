"""Repeatedly kill a process that merges the ledger: `python -m tests.support.killed_merges`.

A separate process merges the parts of a ledger, on a clock that advances hours in a moment, while late
duplicate workers commit their shards again. It is killed with SIGKILL at random moments, and after each kill
every reader of the ledger counts the images. Prints one line per kill, and ends with 1 if a count is wrong.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta

from fiat_color import Ledger
from pipeline.config.storage import StorageConfig
from pipeline.ledger import merge
from pipeline.ledger.compact import compact_ledger
from pipeline.ledger.keys import compacted_key
from pipeline.ledger.merge import GRACE, merge_parts
from pipeline.ledger.read import list_parts, read_part
from pipeline.ledger.stream import newest_objects, open_ledger
from pipeline.ledger.write import commit_part
from pipeline.plan.done import done_images
from pipeline.plan.ledger_rows import read_ledger
from pipeline.review.cards import read_cards
from pipeline.storage import Store, open_store
from pipeline.verify.expected import read_expected
from tests.support.ledger_parts import put_part, row

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SHARDS, IMAGES = 240, 3
_LONGEST = 1.5  # seconds before a process is killed


def counts(out: Store) -> dict[str, int]:
    """The number of images, or results of images, that each reader of the ledger counts."""
    compact_ledger(out, "d", "run")
    return {
        "plan": len(done_images(read_ledger(out, "in").of("d"), retry_failed=False).identities.hashes),
        "compact": read_part(out, compacted_key("run"), ["key"]).num_rows,
        "verify": read_expected(out).outputs.num_rows,
        "export": newest_objects(open_ledger(out)).num_rows,
        "review": read_cards(out).num_rows,
        "fiat_color": len(Ledger(str(out.uri))),
    }


def commit(out: Store, shard: int, when: datetime) -> bool:
    """A worker, or its late duplicate, commits a shard; False if its part already exists."""
    rows = [row(f"{shard:04}-{image}", finished_at=when) for image in range(IMAGES)]
    for one in rows:
        one.output_key, one.output_sha256 = f"images/{one.key}.jpg", "0" * 64
    return commit_part(out, "d", f"{shard:04}", rows)


def merge_for_ever(folder: str, seed: int) -> None:
    """Merge, let the grace period pass, and commit some shard again."""
    merge.MOST_PARTS, merge.MOST_ROWS = 20, 90
    out, chance = open_store(folder, StorageConfig()), random.Random(seed)
    now = datetime.now(UTC)
    print("ready", flush=True)
    while True:
        merge_parts(out, "d", now)
        now += chance.choice((timedelta(minutes=1), GRACE))
        commit(out, chance.randrange(SHARDS), now)


def main() -> int:
    """Print a line for each kill; return 1 if an image is missing or counted twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deaths", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--merge", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.merge:
        merge_for_ever(args.merge, args.seed)
    chance, wrong = random.Random(args.seed), 0
    with tempfile.TemporaryDirectory() as folder:
        out = open_store(folder, StorageConfig())
        for shard in range(SHARDS):
            commit(out, shard, NOON)
        put_part(out, "other", "1", [])
        for death in range(args.deaths):
            seconds = chance.uniform(0.0, _LONGEST)
            _kill_after(seconds, folder, args.seed + death)
            names = list(list_parts(out, "d"))
            merged = sum("merged" in name for name in names)
            here = counts(out)
            wrong += set(here.values()) != {SHARDS * IMAGES}
            print(f"killed after {seconds:.2f} s: {len(names) - merged} parts, {merged} merged ones, {here}")
    print(f"{wrong} of {args.deaths} times a reader counted wrong")
    return 1 if wrong else 0


def _kill_after(seconds: float, folder: str, seed: int) -> None:
    command = [sys.executable, "-m", "tests.support.killed_merges", "--merge", folder, "--seed", str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(seconds)
        if process.poll() is not None:
            raise SystemExit(f"the process that merges has ended by itself: {process.returncode}")
        process.kill()


if __name__ == "__main__":
    sys.exit(main())
