"""The whole job compared with the sum of its parts: on small photographs, and on a known trace."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import IMPORT_ROOT
from pipeline.benchmark import parts
from pipeline.benchmark.parts import BESIDE, PARTS, Kind, compare_parts, middle
from pipeline.benchmark.parts_alone import PartsAlone, measure
from pipeline.benchmark.process_tree import Trace
from pipeline.benchmark.sample_photographs import SIZES, deep_photographs, photographs
from pipeline.benchmark.task import Task
from pipeline.errors import ConfigError, RunError

SAMPLES = IMPORT_ROOT / "tests" / "photos"


@pytest.mark.job
@pytest.mark.first
def test_the_job_is_compared_with_its_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(parts.KINDS, "small", Kind("512", 32, deep=True))
    (row,) = compare_parts(SAMPLES, tmp_path, ["small"], 1, 1, ["model.side=64"])
    assert set(row["parts"]) == {"decode", "network", "compose", "encode"}
    assert min(row["parts"].values()) > 0.1
    assert row["sum"] == pytest.approx(sum(row["parts"].values()), abs=0.1)
    assert row["whole"]["cpu"] > row["parts"]["encode"]
    assert 0 <= row["whole"]["kernel"] < row["whole"]["cpu"]
    assert row["loop"]["peak_mib"] > 100
    assert row["sum_over_whole"] == pytest.approx(row["sum"] / row["whole"]["cpu"], abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize(("deep", "suffix"), [(False, "jpeg"), (True, "tiff")])
def test_every_part_of_a_photograph_takes_time(tmp_path: Path, deep: bool, suffix: str) -> None:
    """In this process: most of what a Python of its own takes are its imports."""
    make = deep_photographs if deep else photographs
    overrides = ("model.side=64", f"output.format={suffix}")
    source, output = make(SAMPLES, tmp_path, "512", 2), tmp_path / "out"
    output.mkdir()
    task = Task(source=source, output=output, workers=1, overrides=overrides)
    seconds = measure(PartsAlone(task), task.keys())
    assert set(seconds) == {*PARTS, *BESIDE}
    assert min(seconds[name] for name in PARTS) > 0
    assert len(list((tmp_path / "out").rglob(f"*.{suffix}"))) == 2


def test_start_and_end_do_not_count(tmp_path: Path) -> None:
    """Eight results, one a second from 10 s on; 0.3 CPU seconds each, a tenth of it in the kernel."""
    for number in range(8):
        result = tmp_path / f"{number}.jpg"
        result.touch()
        os.utime(result, (10 + number, 10 + number))
    trace = Trace(
        0, 30, [0, 10, 17, 30], [0, 50, 52.1, 99], [0, 5, 5.21, 9], [0] * 4, [2**20, 2**22, 2**21, 0]
    )
    measured = middle(trace, tmp_path, ".jpg", 8)
    assert measured == pytest.approx({"cpu": 300, "kernel": 30, "peak_mib": 4})
    with pytest.raises(RunError, match="8 results of 9"):
        middle(trace, tmp_path, ".jpg", 9)


@pytest.mark.parametrize(
    ("between", "read_at"), [(0.02, [0, 10, 30]), (1, [0, 10, 15.9])], ids=["brief", "after the last reading"]
)
def test_what_the_readings_do_not_show_is_no_figure(
    tmp_path: Path, between: float, read_at: list[float]
) -> None:
    for number in range(8):
        result = tmp_path / f"{number}.jpg"
        result.touch()
        os.utime(result, (10 + number * between, 10 + number * between))
    trace = Trace(0, 30, read_at, [0, 1, 2], [0, 0, 0], [0] * 3, [1] * 3)
    with pytest.raises(RunError, match="too short to measure: take more"):
        middle(trace, tmp_path, ".jpg", 8)


def test_deep_photographs_are_the_others_with_noise_in_the_low_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SIZES, "512", [(64, 48)])
    (path,) = deep_photographs(SAMPLES, tmp_path, "512", 1).iterdir()
    with Image.open(path) as deep, Image.open(tmp_path / "512-1" / "000000.jpg") as gray:
        levels = np.asarray(deep)
        assert levels.dtype == np.uint16
        np.testing.assert_array_equal(levels // 256, np.asarray(gray))
    assert 100 < (levels % 256).mean() < 155


def test_no_folder_is_bad_usage(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no folder"):
        compare_parts(tmp_path / "none", tmp_path, ["512"], 1, 1, [])
