"""Tables become blocks without a Ray task, and no two of them need to be in memory at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.forked_commands import run_forked
from tests.support.job_runner import shared_head

# In a process of its own, on the head that the tests share.
PROGRAM = """
import pyarrow as pa
import ray
import ray.data
from ray.remote_function import RemoteFunction
from pipeline.engine.blocks import blocks_of
from pipeline.engine.cluster import cluster

def refuse(*_, **__):
    raise AssertionError("a task was started")

with cluster(None, 1):
    calls = []
    def tables():
        calls.append(1)
        return (pa.table({"x": [number], "y": [[{"key": str(number)}]]}) for number in range(5))
    remote, RemoteFunction._remote = RemoteFunction._remote, refuse
    rows = blocks_of(tables)
    try:
        ray.data.from_arrow(list(tables()))
    except AssertionError as error:
        print("from_arrow:", error)
    RemoteFunction._remote = remote
    calls.pop()
    print(len(calls), rows.num_blocks(), rows.count(), rows.schema().names)
    print([block.num_rows for block in ray.get(rows.to_arrow_refs())])
    print(rows.take_all() == [{"x": n, "y": [{"key": str(n)}]} for n in range(5)])
"""


@pytest.mark.ray
@pytest.mark.timeout(240)
def test_each_table_is_a_block_and_is_made_when_it_is_wanted(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    done = run_forked([str(program)], os.environ | shared_head())
    assert done.stdout.splitlines() == [
        "from_arrow: a task was started",
        "2 5 5 ['x', 'y']",
        "[1, 1, 1, 1, 1]",
        "True",
    ], done.stderr
