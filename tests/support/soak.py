"""Many tiny images through a storage that fails in every way: `python -m tests.support.soak --images 100000`.

The S3 server of the tests stands behind the proxy of the tests, and each fault befalls its share of all
requests, drawn by the seed. The job's command is repeated until it succeeds. Images and ledger are then
compared with what the same images gave in a folder, without faults. It prints a table, and ends with 1 where
something is wrong.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

from tests.support.fault_proxy import Fault, FaultProxy, fault_proxy
from tests.support.job_runner import FAST, encoded, fill, ledger, photograph, run
from tests.support.servers import CREDENTIALS, S3Server, moto
from tests.support.toll import Delivered, Toll, table, toll

_MOST_RUNS = 20
#: All faults but those that last for the whole run: credentials that end are one line and exit status 1.
_FAULTS = (
    Fault("flip", method="GET", path=r"/in/.*\.jpg"),
    Fault("cut", method="GET"),
    Fault("shorten", method="GET", path=r"/in/.*\.jpg"),
    Fault("reset", method="GET|HEAD|PUT|POST|DELETE"),
    Fault("refuse", method="GET|HEAD|PUT|POST|DELETE", status=503, code="SlowDown"),
    Fault("refuse", method="GET|HEAD|PUT|POST|DELETE", status=500, code="InternalError"),
    Fault("stall", method="GET|PUT", seconds=0.3),
    Fault("flip_put", method="PUT", path=r"/out/"),
    Fault("lose_answer", method="PUT|POST|DELETE", path=r"/out/"),
)
#: Of these about so many fit a request.
_FITTING = 5


def name_of(number: int) -> str:
    """The key of an image, in folders of a thousand."""
    return f"{number // 1000:04}/{number:07}.jpg"


def without_etag(delivered: Delivered) -> Delivered:
    """A folder and a bucket have ETags of different kinds."""
    return replace(delivered, rows=[{k: v for k, v in row.items() if k != "etag"} for row in delivered.rows])


def undisturbed(folder: Path, images: dict[str, bytes], settings: tuple[str, ...]) -> Delivered:
    """The same images under the same keys, coloured from a folder into a folder."""
    fill(str(folder / "in"), images)
    done = run("--input", folder / "in", "--output", folder / "out", *settings, timeout=24 * 3600)
    assert done.returncode == 0, done.stderr
    return without_etag(Delivered.of(str(folder / "out")))


def until_it_succeeds(proxy: FaultProxy, bucket: str, settings: tuple[str, ...]) -> list[int]:
    """The exit statuses of the job's runs, the last of them 0."""
    statuses: list[int] = []
    places = ("--input", f"s3://{bucket}/in", "--output", f"s3://{bucket}/out")
    while not statuses or statuses[-1] != 0:
        done = run(*places, *settings, *proxy.server.settings, env=CREDENTIALS, timeout=24 * 3600)
        statuses.append(done.returncode)
        last = (done.stderr.strip().splitlines() or [""])[-1]
        print(f"run {len(statuses)}: exit status {done.returncode} {last}", file=sys.stderr, flush=True)
        if len(statuses) == _MOST_RUNS:
            raise SystemExit(f"{_MOST_RUNS} runs, and none succeeds")
    return statuses


def puts_again(proxy: FaultProxy, images: int) -> int:
    """Puts of images that reached the server, beyond one for each."""
    unheard = {"refuse", "reset", "flip_put"}
    put = Counter(
        path
        for method, path, fault in proxy.seen
        if method == "PUT" and re.search(r"/out/images/", path) and fault not in unheard
    )
    return sum(put.values()) - images


def soak(server: S3Server, args: argparse.Namespace, folder: Path) -> tuple[Counter[str], Toll]:
    """Colour so many images through faults; how often each was done, and what it has cost."""
    settings = (*FAST[:2], "--set", "run.engine=processes", "--set", f"run.workers={args.workers}")
    settings += ("--set", f"storage.retries={args.retries}", "--set", "report.sample=0")
    photographs = [encoded(photograph(seed, 64, 48)) for seed in range(args.distinct)]
    images = {name_of(number): photographs[number % args.distinct] for number in range(args.images)}
    wanted, bucket = undisturbed(folder, images, settings), server.bucket()
    fill(f"s3://{bucket}/in", images, server.storage_config)
    faults = [replace(fault, chance=args.share / _FITTING) for fault in _FAULTS]
    with fault_proxy(server, *faults, seed=args.seed) as proxy:
        start = time.monotonic()
        statuses = until_it_succeeds(proxy, bucket, settings)
        seconds = time.monotonic() - start
    done = Counter[str](fault for _, _, fault in proxy.seen if fault)
    print(f"{len(proxy.seen):,} requests, exit statuses {statuses}", file=sys.stderr, flush=True)
    here = without_etag(Delivered.of(f"s3://{bucket}/out", server.storage_config))
    cost = toll(here, wanted)
    failed = sum(row["status"] == "failed" for row in ledger(f"s3://{bucket}/out", server.storage_config))
    print(f"{failed:,} rows of images that failed, and were tried again", file=sys.stderr, flush=True)
    again = puts_again(proxy, args.images)
    return done, cost + Toll(runs=len(statuses), repeated=again, seconds=seconds)


def main() -> int:
    """Prints the table; 1 where an image is lost, there twice or false."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--distinct", type=int, default=40, help="distinct photographs")
    parser.add_argument("--share", type=float, default=0.05, help="of all requests that a fault befalls")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--retries", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    os.environ.update(CREDENTIALS)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # of moto: a line for each request
    with tempfile.TemporaryDirectory(prefix="soak-") as folder, moto() as server:
        faults, cost = soak(server, args, Path(folder))
    print(table(faults, cost))
    return 1 if cost.is_wrong else 0


if __name__ == "__main__":
    sys.exit(main())
