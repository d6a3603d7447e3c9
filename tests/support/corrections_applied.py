"""How long it takes to apply ten corrections: `python -m tests.support.corrections_applied`.

Colours `tests/photos` into a temporary folder with the settings of a run, corrects ten of them with a stroke
and less colour, and measures `jobs/review.py --apply`: the start of Python, the network, and the ten images.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil

from pipeline.config.storage import StorageConfig
from pipeline.review.cards import read_cards
from pipeline.review.correction import Correction, Stroke
from pipeline.review.decisions import Decision, write_decision
from pipeline.storage import open_store
from tests.support.paths import REPO
from tests.support.processes import children_of

MANY = 10
_STROKE = Stroke(color="#2f6db5", radius=0.05, path=((0.2, 0.3), (0.8, 0.3)))


def _job(name: str, *arguments: str) -> tuple[float, float]:
    """Wall-clock and CPU seconds, with all processes that the job starts.

    The processes are measured while they run: nobody gets the CPU time of a worker that ends with its pool.
    """
    started = time.monotonic()
    line = [sys.executable, str(REPO / "jobs" / name), *arguments]
    with subprocess.Popen(line, cwd=REPO) as job:
        cpu = dict[int, float]()
        while job.poll() is None:
            for pid in (job.pid, *children_of(job.pid)):
                with suppress(psutil.NoSuchProcess):
                    used = psutil.Process(pid).cpu_times()
                    cpu[pid] = used.user + used.system
            time.sleep(0.1)
    if job.returncode:
        raise subprocess.CalledProcessError(job.returncode, line)
    return time.monotonic() - started, sum(cpu.values())


def main() -> None:
    """Measure and print one line."""
    with tempfile.TemporaryDirectory() as folder:
        out = open_store(str(Path(folder, "out")), StorageConfig())
        _job("colorize_bucket.py", "--input", str(REPO / "tests/photos"), "--output", out.uri)
        results = [card for card in read_cards(out).to_pylist() if card["output_key"]][:MANY]
        for card in results:
            correction = Correction(strokes=(_STROKE,), chroma=0.8)
            about = {"key": card["key"], "etag": card["etag"], "output_sha256": card["output_sha256"]}
            write_decision(
                out,
                Decision(
                    verdict="correct", correction=correction, who="Kim", when=datetime.now(UTC), **about
                ),
            )
        wall, cpu = _job("review.py", "--output", out.uri, "--apply")
        pixels = sum(card["width"] * card["height"] for card in results) / 1e6
    load = os.getloadavg()[0]
    print(
        f"{MANY} corrections, {pixels:.1f} megapixels: {wall:.1f} s, {cpu:.1f} CPU s, load average {load:.1f}"
    )


if __name__ == "__main__":
    main()
