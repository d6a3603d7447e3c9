"""A Ray that cannot start is one line for the user."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.config import JobConfig, load
from pipeline.flow.cluster import layout_for

REPO = Path(__file__).resolve().parents[2]
SCRIPT = """
from pipeline.errors import RunError
from pipeline.flow.cluster import cluster
try:
    with cluster(None, 1):
        pass
except RunError as error:
    print(f"{error.exit_status}: {error}")
"""


def test_a_ray_that_does_not_start_is_a_run_error(tmp_path: Path) -> None:
    """Its folder for sessions is a file here; in its own process, for Ray reads the variable at import."""
    (tmp_path / "file").write_text("in the way")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True, text=True, cwd=REPO, timeout=240, check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "RAY_TMPDIR": str(tmp_path / "file")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1: Ray did not start on this machine")
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize(
    ("overrides", "cpus", "gpus", "expected"),
    [
        ([], 8, 0, ("fused", 8, 0)),
        ([], 8, 2, ("staged", 2, 2)),
        (["run.gpus=0"], 8, 2, ("fused", 8, 0)),
        (["run.gpus=4"], 1, 0, ("staged", 4, 4)),  # a cluster that grows on demand, before it has grown
        (["run.workers=64"], 1, 0, ("fused", 64, 0)),
        (["run.topology=staged"], 8, 0, ("staged", 4, 0)),
    ],
)
def test_the_layout_over_what_the_cluster_has_or_the_run_asks_for(
    overrides: list[str], cpus: int, gpus: int, expected: tuple[str, int, int]
) -> None:
    laid = layout_for(load(JobConfig, None, overrides), cpus, gpus)
    assert (laid.topology, laid.workers, laid.gpus) == expected
