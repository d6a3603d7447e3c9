"""A worker keeps the memory of usual images for the next one, and returns that of large ones."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pipeline.engine.machine import KEEP_FREED_MEMORY
from pipeline.shard.memory import LARGE

_LARGE_IMAGE = """
import sys
import numpy as np
from pathlib import Path
from pipeline.shard.memory import give_back_after

def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

pixels = [np.ones(100_000_000, np.uint8) for _ in range(2)]
del pixels
kept = resident_mb()
gave_back = give_back_after([12_000_000, int(sys.argv[1])])
print(int(gave_back), kept - resident_mb())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it looks into /proc")
@pytest.mark.parametrize(("pixels", "is_large"), [(LARGE, True), (LARGE - 1, False)])
def test_the_memory_of_a_large_image_is_given_back(pixels: int, is_large: bool) -> None:
    given = {**os.environ, **KEEP_FREED_MEMORY, "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _LARGE_IMAGE, str(pixels)]
    printed = subprocess.run(command, env=given, capture_output=True, text=True, check=True).stdout
    gave_back, megabytes = printed.split()
    assert (gave_back == "1", float(megabytes) > 150) == (is_large, is_large)
