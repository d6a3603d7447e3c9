"""The environment of workers: memory that one photograph used is available for the next."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pipeline.engine.machine import KEEP_FREED_MEMORY

# As a worker: pixels of 12 megapixels are made on one thread and dropped on another, again and again.
_PHOTOGRAPHS = """
import resource
from concurrent.futures import ThreadPoolExecutor
import numpy as np

def photograph():
    lightness = np.ones((3000, 4000), np.uint16)
    return np.ones((3000, 4000, 3), np.uint8), lightness

with ThreadPoolExecutor(1) as thread:
    for number in range(12):
        if number == 4:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        here, there = photograph(), thread.submit(photograph).result()
        del here, there
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="these settings are glibc's")
def test_a_worker_does_not_get_the_same_memory_from_the_system_for_every_photograph() -> None:
    given = {**os.environ, **KEEP_FREED_MEMORY, "OPENBLAS_NUM_THREADS": "1"}
    printed = subprocess.run(
        [sys.executable, "-c", _PHOTOGRAPHS], env=given, capture_output=True, text=True, check=True
    ).stdout
    huge_pages_of_one_array = 36_000_000 // 2**21
    assert int(printed) < 8 * huge_pages_of_one_array
