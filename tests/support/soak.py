"""Colours many tiny images through a storage that fails in every way.

    python -m tests.support.soak --images 100000 --keep soak/

The tests' S3 server runs behind the tests' proxy, and each fault hits its share of all requests, drawn by a
seed. The same images are coloured archive after archive, each with another seed, and the job's command is
repeated until it succeeds. Images and ledger of each archive are then compared with the results of the same
images in a folder, without faults. Prints a table, and ends with 1 if something is wrong. A command that was
stopped continues after the last complete archive if it gets the same folder.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.fault_proxy import Fault, FaultProxy, fault_proxy
from tests.support.job_runner import FAST, encoded, fill, ledger, photograph, run
from tests.support.servers import CREDENTIALS, S3Server, moto
from tests.support.toll import Delivered, Toll, table, toll

_MOST_RUNS = 20
_TIMEOUT = 24 * 3600
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
#: Images state the day, and a soak may last over midnight.
_DAY = {"SOURCE_DATE_EPOCH": "1767225600"}
_SOURCE = "soak-source"


class Archive(NamedTuple):
    """The results of one archive: its seed, how often each fault occurred, and what the faults cost.

    failed: rows of images that failed and that a later run tried again.
    """

    seed: int
    faults: dict[str, int]
    cost: Toll
    requests: int
    failed: int


def name_of(number: int) -> str:
    """The key of an image, in folders of a thousand."""
    return f"{number // 1000:04}/{number:07}.jpg"


def without_etag(delivered: Delivered) -> Delivered:
    """Leave out ETags: folders and buckets have different kinds."""
    return replace(delivered, rows=[{k: v for k, v in row.items() if k != "etag"} for row in delivered.rows])


def undisturbed(folder: Path, images: dict[str, bytes], settings: tuple[str, ...]) -> Delivered:
    """The same images under the same keys, coloured from a folder into a folder; existing results stay."""
    fill(str(folder / "in"), images)
    done = run("--input", folder / "in", "--output", folder / "out", *settings, env=_DAY, timeout=_TIMEOUT)
    assert done.returncode == 0, done.stderr
    return without_etag(Delivered.of(str(folder / "out")))


def until_it_succeeds(proxy: FaultProxy, bucket: str, settings: tuple[str, ...]) -> int:
    """How often the job's command ran, the last time with exit status 0."""
    places = ("--input", f"s3://{_SOURCE}/in", "--output", f"s3://{bucket}/out")
    for number in range(1, _MOST_RUNS + 1):
        done = run(*places, *settings, *proxy.server.settings, env=CREDENTIALS | _DAY, timeout=_TIMEOUT)
        last = (done.stderr.strip().splitlines() or [""])[-1]
        print(f"{bucket}, run {number}: exit status {done.returncode} {last}", file=sys.stderr, flush=True)
        if done.returncode == 0:
            return number
    raise SystemExit(f"{_MOST_RUNS} runs, and none succeeds")


def puts_again(proxy: FaultProxy, images: int) -> int:
    """Extra puts of images that reached the server, beyond one for each image."""
    unheard = {"refuse", "reset", "flip_put"}
    put = Counter(
        path
        for method, path, fault in proxy.seen
        if method == "PUT" and re.search(r"/out/images/", path) and fault not in unheard
    )
    return sum(put.values()) - images


def disturbed(
    server: S3Server, seed: int, wanted: Delivered, settings: tuple[str, ...], share: float
) -> Archive:
    """Colour the source once through faults, and compare."""
    bucket = f"soak-{seed}"  # no name by chance: the faults of a request depend on its path
    server.client.create_bucket(Bucket=bucket)
    faults = [replace(fault, chance=share / _FITTING) for fault in _FAULTS]
    with fault_proxy(server, *faults, seed=seed) as proxy:
        start = time.monotonic()
        runs = until_it_succeeds(proxy, bucket, settings)
        seconds = time.monotonic() - start
    out = (f"s3://{bucket}/out", server.storage_config)
    cost = toll(without_etag(Delivered.of(*out)), wanted)
    cost += Toll(runs=runs, repeated=puts_again(proxy, len(wanted.images)), seconds=seconds)
    failed = sum(row["status"] == "failed" for row in ledger(*out))
    remove(server, bucket)
    counts = Counter[str](fault for _, _, fault in proxy.seen if fault)
    return Archive(seed, dict(counts), cost, len(proxy.seen), failed)


def remove(server: S3Server, bucket: str) -> None:
    """Delete all objects of a bucket, because moto keeps them in memory."""
    pages = server.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    keys = [{"Key": one["Key"]} for page in pages for one in page.get("Contents", [])]
    for start in range(0, len(keys), 1000):
        server.client.delete_objects(Bucket=bucket, Delete={"Objects": keys[start : start + 1000]})


def kept(file: Path, stated: dict[str, Any]) -> list[Archive]:
    """Archives that an earlier command with the same settings finished. The file then has the settings."""
    lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    if lines and lines[0] != stated:
        raise SystemExit(f"{file} is of a command with {lines[0]}: take another folder")
    if not lines:
        file.write_text(json.dumps(stated) + "\n")
    return [Archive(**line | {"cost": Toll(**line["cost"])}) for line in lines[1:]]


def soak(server: S3Server, args: argparse.Namespace, folder: Path) -> list[Archive]:
    """All archives, including those that were finished before."""
    settings = (*FAST[:2], "--set", "run.engine=processes", "--set", f"run.workers={args.workers}")
    settings += ("--set", f"storage.retries={args.retries}", "--set", "report.sample=0")
    settings += ("--set", "report.gallery=false")  # its pictures are not compared, and double the requests
    settings += ("--set", f"plan.shard_images={args.shard_images}")
    photographs = [encoded(photograph(seed, 64, 48)) for seed in range(args.distinct)]
    each = min(args.archive, args.images)
    images = {name_of(number): photographs[number % args.distinct] for number in range(each)}
    stated = {name: getattr(args, name) for name in ("distinct", "share", "retries", "shard_images", "seed")}
    archives = kept(folder / "archives.jsonl", stated | {"images": each})
    wanted = undisturbed(folder, images, settings)
    server.client.create_bucket(Bucket=_SOURCE)
    fill(f"s3://{_SOURCE}/in", images, server.storage_config)
    start = time.monotonic()
    while len(archives) * each < args.images and (time.monotonic() - start) / 60 < args.minutes:
        archive = disturbed(server, args.seed + len(archives), wanted, settings, args.share)
        archives.append(archive)
        with (folder / "archives.jsonl").open("a") as file:
            file.write(json.dumps(archive._asdict() | {"cost": asdict(archive.cost)}) + "\n")
    print(f"{len(archives)} archives of {each:,} images", file=sys.stderr)
    return archives


def main() -> int:
    """Print the table; return 1 if an image is lost, doubled or false."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--archive", type=int, default=2000, help="images of each archive")
    parser.add_argument("--distinct", type=int, default=40, help="distinct photographs")
    parser.add_argument("--shard-images", type=int, default=16, help="of each shard, which is a ledger part")
    parser.add_argument("--share", type=float, default=0.05, help="of all requests that a fault befalls")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--retries", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1, help="of the first archive; the next ones count on")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no archive after these")
    parser.add_argument("--keep", type=Path, help="a folder of this command, to go on after a stop")
    args = parser.parse_args()
    os.environ.update(CREDENTIALS)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # of moto: a line for each request
    with tempfile.TemporaryDirectory(prefix="soak-") as scratch, moto() as server:
        folder = args.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        archives = soak(server, args, folder)
    faults = sum((Counter(one.faults) for one in archives), Counter[str]())
    cost = sum((one.cost for one in archives), Toll())
    requests, failed = sum(one.requests for one in archives), sum(one.failed for one in archives)
    print(f"{requests:,} requests, {failed:,} rows of images that failed, and were tried again")
    print(table(faults, cost))
    return 1 if cost.is_wrong else 0


if __name__ == "__main__":
    sys.exit(main())
