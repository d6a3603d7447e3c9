"""Repeatedly kill processes of colouring runs at random moments: `python -m tests.support.kills`.

The seed determines the moments and which process gets SIGKILL. If that ends the run, the same command is run
again. When the archive is done, files and ledger are compared with those of an undisturbed run, and remaining
processes and temporary files are counted. Then the next archive begins, until the requested number of kills
is reached. Prints a table, and ends with 1 if something is wrong.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from pipeline.cli.counts import counted
from tests.support.job_runner import FAST, command, encoded, fill, photograph
from tests.support.ray_cluster import Cluster
from tests.support.toll import Delivered, Puts, Toll, table, toll

_MOST_RUNS = 100  # until one succeeds
_LONGEST = 900  # seconds of one run
_GONE_SECONDS = 30  # for processes to end whose driver was killed


@dataclass
class Running:
    """A run of the job, and all processes that it has had."""

    process: subprocess.Popen[str]
    family: set[psutil.Process] = field(default_factory=set)

    def look(self) -> set[psutil.Process]:
        """Its processes now."""
        with suppress(psutil.NoSuchProcess):
            now = set(psutil.Process(self.process.pid).children(recursive=True))
            self.family |= now
            return now
        return set()


def kind_of(process: psutil.Process) -> str | None:
    """The role of the process in a run."""
    try:
        name, words = process.name(), process.cmdline()
        line = " ".join(words)
        if name in ("raylet", "gcs_server"):
            return name
        if "pipeline.codecs.isolated" in line:
            return "decoder"
        if "pipeline.run.pool_worker" in line:
            parent = process.parent()
            is_fork = parent is not None and "pipeline.run.pool_worker" in " ".join(parent.cmdline())
            return "worker" if is_fork else "fork server"
        return "worker" if line.startswith("ray::") and "MapBatches" in line else None
    except psutil.NoSuchProcess:
        return None


class Trial:
    """One fresh output, and the runs into it."""

    def __init__(self, scans: Path, folder: Path, settings: tuple[str, ...], cluster: Cluster | None) -> None:
        self.out, self.temporary, self.cluster = folder / "out", folder / "tmp", cluster
        # an image whose decoder was killed has failed, as far as a run can tell
        self.asked = ("--input", scans, "--output", self.out, *settings, "--set", "plan.retry_failed=true")
        (self.out / "images").mkdir(parents=True)
        self.temporary.mkdir()
        self.family: set[psutil.Process] = set()
        self.last_words = ""

    def start(self) -> Running:
        environment = {**os.environ, "TMPDIR": str(self.temporary)}
        environment |= self.cluster.environment if self.cluster else {}
        pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        return Running(subprocess.Popen(command(*self.asked), **pipes, text=True, env=environment))

    def finish(self, running: Running) -> int:
        """Its exit status; -SIGKILL if it takes too long."""
        try:
            _, errors = running.process.communicate(timeout=_LONGEST)
            self.last_words = (errors.strip().splitlines() or [""])[-1]
        except subprocess.TimeoutExpired:
            running.process.kill()
            running.process.communicate()
            self.last_words = f"no end after {_LONGEST} s"
        self.family |= running.family
        return running.process.returncode

    def victims(self, running: Running) -> dict[str, list[psutil.Process]]:
        """The running processes of a run by their role; from a cluster's head only the GCS."""
        found = defaultdict[str, list[psutil.Process]](list)
        for one in running.look() | (self.cluster.processes() if self.cluster else set()):
            kind = kind_of(one)
            if kind and not (kind == "raylet" and self.cluster and self.cluster.is_of_head(one)):
                found[kind].append(one)
        with suppress(psutil.NoSuchProcess):
            found["driver"].append(psutil.Process(running.process.pid))
        return found

    def left(self) -> list[str]:
        """Our processes and temporary files that remain."""
        deadline = time.monotonic() + _GONE_SECONDS
        while (alive := [one for one in self.family if _runs(one)]) and time.monotonic() < deadline:
            time.sleep(0.1)
        files = [*self.out.rglob(".fiat-*"), *self.temporary.glob("fiat-color-*")]
        return [*(f"process {one.pid}" for one in alive), *map(str, files)]


def _runs(process: psutil.Process) -> bool:
    """False for a zombie too: only its new parent can remove it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextmanager
def _watched(running: Running) -> Iterator[None]:
    """Record all its processes, twice a second."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.5):
            running.look()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class Killer:
    """Draws moments and victims until it has killed this many."""

    def __init__(self, kills: int, seed: int, longest: float) -> None:
        self.left, self.chance, self.longest = kills, random.Random(seed), longest
        self.killed = Counter[str]()

    def at_work(self, trial: Trial, running: Running) -> None:
        """Kill processes at intervals, until the run ends or no kill is left."""
        while self.left:
            with suppress(subprocess.TimeoutExpired):
                running.process.wait(self.chance.uniform(0.0, self.longest))
                return
            victims = trial.victims(running)
            kind = self.chance.choice(sorted(victims))
            victim = self.chance.choice(sorted(victims[kind], key=lambda one: one.pid))
            with suppress(psutil.NoSuchProcess):
                victim.kill()
                self.left -= 1
                self.killed[kind] += 1
                print(f"killed: {kind}", file=sys.stderr, flush=True)


def to_its_end(trial: Trial, killer: Killer, wanted: Delivered | None = None) -> Toll:
    """Repeat the run until it succeeds, and return what the kills cost."""
    puts, start, runs, status = Puts(trial.out / "images"), time.monotonic(), 0, -1
    while status != 0:
        runs += 1
        if trial.cluster:
            trial.cluster.mend()
        running = trial.start()
        with _watched(running):
            killer.at_work(trial, running)
            status = trial.finish(running)
        print(f"run {runs}: exit status {status} {trial.last_words}", file=sys.stderr, flush=True)
        if runs > _MOST_RUNS:
            raise SystemExit(f"{runs} runs, and none succeeds")
    seconds, here, left = time.monotonic() - start, Delivered.of(str(trial.out)), trial.left()
    cost = toll(here, here if wanted is None else wanted)
    cost += Toll(runs=runs, repeated=len(puts.names()) - len(here.images), left=len(left), seconds=seconds)
    puts.close()
    print(cost, *left, sep="\n", file=sys.stderr, flush=True)
    return cost


def main() -> int:
    """Print the table; return 1 if something is lost, doubled, false or left behind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--images", type=int, default=48)
    parser.add_argument("--engine", choices=["processes", "ray"], default="processes")
    parser.add_argument("--nodes", type=int, default=1, help="more than one: Ray nodes on loopback")
    args = parser.parse_args()
    engine = "ray" if args.nodes > 1 else args.engine
    settings = (*FAST[:2], "--set", "run.workers=2", "--set", f"run.engine={engine}")
    settings += ("--set", "plan.shard_images=4", "--set", "report.sample=0")
    cost, rounds = Toll(), 0
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kills-")))
        fill(str(folder / "in"), {f"{i:03}.jpg": encoded(photograph(i, 64, 48)) for i in range(args.images)})
        cluster = stack.enter_context(Cluster(folder, args.nodes)) if args.nodes > 1 else None
        undisturbed = Trial(folder / "in", folder / "undisturbed", settings, cluster)
        usual = to_its_end(undisturbed, Killer(0, args.seed, 1.0)).seconds
        wanted = Delivered.of(str(undisturbed.out))
        assert len(wanted.images) == args.images, wanted
        killer = Killer(args.kills, args.seed, usual)
        while killer.left:
            rounds += 1
            trial = Trial(folder / "in", folder / str(rounds), settings, cluster)
            cost += to_its_end(trial, killer, wanted)
    print(f"{counted(rounds, 'archive')} of {counted(args.images, 'image')}")
    print(table(killer.killed, cost))
    return 1 if cost.is_wrong else 0


if __name__ == "__main__":
    sys.exit(main())
