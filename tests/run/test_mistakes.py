"""A user's mistakes are reported before torch and Ray are imported, in separate processes."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import IMPORT_ROOT
from tests.support.disks import make_read_only, small_disk
from tests.support.job_runner import encoded, fill, photograph

# What main prints and returns, then which of the slow imports were made.
_PROGRAM = """
import sys
from pipeline.commands.program import main
try:
    status = main(sys.argv[1:])
except SystemExit as left:
    status = left.code
print("loaded", *[name for name in ("torch", "ray", "numba", "skimage") if name in sys.modules])
sys.exit(status)
"""
_CPU_SECONDS = 3.0  # generous for a busy machine; torch and Ray alone take twice as much
_RIGHT = ("{scans}", "{out}")


def run(*words: str) -> tuple[subprocess.CompletedProcess[str], float]:
    """The ended process and its CPU seconds, those of its children with them."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "PYTHONPATH": str(IMPORT_ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *words],
        capture_output=True, text=True, env=environment, cwd=IMPORT_ROOT, timeout=120, check=False,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    fill(str(tmp_path / "scans"), {"a.jpg": encoded(photograph(1))})
    return tmp_path / "scans"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("{scans}/nowhere", "{out}"), 2, "error: there is no folder {scans}/nowhere; check the path"),
        (("{scans}/b.jpg", "{out}"), 2, "error: there is no photograph {scans}/b.jpg; check the path"),
        (("{scans}", "{scans}/out"), 2, "error: the output {scans}/out is inside the input {scans}; give"),
        (("{scans}", "{scans}/a.jpg/out"), 2, "error: the output {scans}/a.jpg/out is inside the input"),
        (("{scans}", "{file}/out"), 2, "error: {file}/out is below a file; give a folder for the results"),
        ((*_RIGHT, "--method", "unnet"), 2, "error: configuration key 'model.method' has the value 'unnet'"),
        ((*_RIGHT, "--method", "vivid"), 2, "error: 'vivid' is the name of weights, not of a method"),
        ((*_RIGHT, "--weights", "faithfull"), 2, "error: no weights 'faithfull' ship with the package"),
        ((*_RIGHT, "--weights", "./no.safetensors"), 2, "error: cannot read the weights ./no.safetensors: "),
        ((*_RIGHT, "--weights", "./no.onnx"), 2, "error: cannot read the weights ./no.onnx: "),
        ((*_RIGHT, "--method", "gray", "--weights", "vivid"), 2, "error: the method 'gray' has no weights"),
        ((*_RIGHT, "--set", "output.formt=png"), 2, "error: unknown configuration key 'output.formt'"),
        ((*_RIGHT, "--set", "plan.include=[*.jpg]"), 2, "error: configuration key 'plan.include' has"),
        ((*_RIGHT, "--set", "plan.include=*.JPG", "--strict"), 2, "error: plan.include has the pattern"),
        ((*_RIGHT, "--keys", "{scans}/keys.txt"), 2, "error: cannot read the keys in {scans}/keys.txt"),
        ((*_RIGHT, "--set", "plan.include=*.JPG"), 0, "warning: plan.include has the pattern '*.JPG', which"),
        (("{empty}", "{out}"), 0, "Nothing to do: the input contains no files. If you expected some, check"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_before_the_slow_imports(
    scans: Path, words: tuple[str, ...], status: int, said: str
) -> None:
    places = {"scans": scans, "out": scans.parent / "out", "file": scans.parent / "file"}
    places["empty"] = scans.parent / "empty"
    places["empty"].mkdir()
    places["file"].write_text("")
    done, seconds = run("colorize", *(word.format(**places) for word in words))
    assert done.returncode == status, done.stderr
    assert done.stdout.splitlines()[-1] == "loaded"
    printed = done.stderr + done.stdout.removesuffix("loaded\n")
    assert printed.startswith(said.format(**places)), printed
    assert "Traceback" not in printed
    assert not places["out"].exists()
    assert seconds < _CPU_SECONDS


@pytest.mark.slow
@pytest.mark.parametrize("dry", [(), ("--dry-run",)], ids=["run", "dry run"])
@pytest.mark.parametrize("below", ["", "/not/there/yet"])
def test_an_output_on_a_read_only_disk_is_told_at_once(
    scans: Path, tmp_path: Path, below: str, dry: tuple[str, ...]
) -> None:
    with small_disk(tmp_path / "disk", 64) as disk:
        make_read_only(disk)
        done, seconds = run("colorize", str(scans), f"{disk}{below}", *dry)
    assert (done.returncode, done.stdout) == (1, "loaded\n")
    assert done.stderr == (
        f"error: cannot write to {disk}{below}: Read-only file system; make it writable and run the same "
        "command again\n"
    )
    assert seconds < _CPU_SECONDS
