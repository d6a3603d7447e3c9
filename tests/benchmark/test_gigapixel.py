"""The benchmark of huge masters, with small ones: it measures both ways, and leaves no file behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.mark.job
def test_both_are_measured_and_nothing_is_left(in_process, tmp_path: Path) -> None:
    ended = in_process("benchmark", "--master", "300x200", "--folder", tmp_path, "--set", "model.side=64")
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout)
    assert report["fiat_color"]["max_delta_l"] < 0.1
    assert report["libvips_reencode"]["peak_rss_mib"] < report["fiat_color"]["peak_rss_mib"] < 1024
    assert 0 < report["libvips_reencode"]["seconds"] < report["fiat_color"]["seconds"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments", [("--master", "30000"), ("--master", "900x700", "--set", "model.sides=64")]
)
def test_bad_usage_is_one_line(in_process, arguments: tuple[str, ...]) -> None:
    done = in_process("benchmark", *arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
