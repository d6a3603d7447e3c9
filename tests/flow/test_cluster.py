"""A Ray that cannot start is one line for the user."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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
