"""The benchmark of huge masters, small: it measures both, and leaves no file behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import REPO


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "jobs/benchmark.py", *arguments]
    return subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False)


def test_both_are_measured_and_nothing_is_left(tmp_path: Path) -> None:
    done = run("--master", "900x700", "--folder", str(tmp_path), "--set", "model.side=64")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["fiat_color"]["max_delta_l"] < 0.1
    assert 0 < said["fiat_color"]["peak_rss_mib"] < 1024
    assert said["libvips_reencode"]["seconds"] > 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments", [("--master", "30000"), ("--master", "900x700", "--set", "model.sides=64")]
)
def test_bad_usage_is_one_line(in_process, arguments: tuple[str, ...]) -> None:
    done = in_process("benchmark", *arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
