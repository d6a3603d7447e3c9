"""Every command reports a user's mistake in one line, before torch and Ray are imported."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline import IMPORT_ROOT
from pipeline.commands.program import COMMANDS
from tests.support.job_runner import encoded, fill, photograph

# Each call of main in its turn: status, what it printed, which slow modules are there after it, whether the
# output is. They stay there: the first call that fails its test is at fault.
_PROGRAM = """
import contextlib, io, json, os, sys
from pipeline.commands.program import main
for words in json.load(sys.stdin):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            status = main(words)
        except SystemExit as left:
            status = left.code
    slow = [name for name in ("torch", "ray", "numba", "skimage") if name in sys.modules]
    print(json.dumps([status, printed.getvalue(), slow, os.path.exists("out")]))
"""
_CPU_SECONDS = 8.0  # of all calls together, on a busy machine
_NO_FOLDER = "error: there is no folder {no}; check the path"
_FAITHFULL = "error: no weights 'faithfull' ship with the package"
_OUTPUT_INSIDE = "error: the output {photos}/out is inside the input {photos}; give a place outside it"
_UNKNOWN = "error: unknown configuration key"

CASES = [
    ("verify {no}", _NO_FOLDER),
    ("verify {out} --set storage.ednpoint=x", f"{_UNKNOWN} 'storage.ednpoint'"),
    ("export {no} --format csv --to {out}/a.csv", _NO_FOLDER),
    ("export {photos} --format csv --to {out}/a.csv --set output.formt=png", f"{_UNKNOWN} 'output.formt'"),
    ("review {no}", _NO_FOLDER),
    ("review {photos} --set report.thumbnial=3", f"{_UNKNOWN} 'report.thumbnial'"),
    ("prune {no}", _NO_FOLDER),
    ("prune {photos} --set outputt=3", _UNKNOWN),
    ("weights nothing", "fiat-color weights: error: unrecognized arguments: nothing"),
    ("import-weights {no}/a.pth", "error: {no}/a.pth is a checkpoint, and reading one can run code"),
    ("import-weights {no}/a.onnx", "error: cannot read the weights {no}/a.onnx: "),
    ("import-weights {photos}/a.onnx --registry x/#", "error: 'x/#' is not the name of a weights registry"),
    ("prepare --input {no} --output {out}", _NO_FOLDER),
    ("prepare --input {photos} --output {photos}/out", _OUTPUT_INSIDE),
    ("prepare --input {photos} --output {out} --set photos.sied=3", f"{_UNKNOWN} 'photos.sied'"),
    ("train --photos {no} --storage {out}", _NO_FOLDER),
    ("train --photos {photos} --storage gs://bucket/runs", "error: a training run cannot be kept in gs://"),
    ("train --photos {photos} --storage az://box/runs", "error: a training run cannot be kept in az://"),
    ("train --photos {photos} --storage {file}/runs", "error: {file}/runs is below a file"),
    ("train --photos {photos} --set data.corp=64", f"{_UNKNOWN} 'data.corp'"),
    ("train --photos {photos} --set model.weights=faithfull --storage {out}", _FAITHFULL),
    ("train --run unett", "error: "),
    ("train --average a b", "error: --average needs --export FILE for the averaged weights"),
    ("train --export {out}/", "error: cannot write weights to '{out}/': give a file, not a folder"),
    ("train --export {out}/a.safetensors --average faithfull open", _FAITHFULL),
    ("train --export {out}/a.safetensors --decoding gain", "error: --decoding 'gain': give name=number"),
    ("retrain-family --photos {no} --held-out {photos} --output {out}", _NO_FOLDER),
    ("retrain-family --photos {photos} --held-out {photos} --output {photos}/out", _OUTPUT_INSIDE),
    ("retrain-family --photos {photos} --held-out {photos} --output {out} --only unett", "error: "),
    ("retrain-family --photos {photos} --held-out {photos} --output gs://box/x", "error: a training run"),
    ("choose-decoding --weights faithfull --set data.photos={photos}", _FAITHFULL),
    ("choose-decoding --weights faithful --set data.photos={no}", _NO_FOLDER),
    ("doubt --weights faithfull --fit {photos}", _FAITHFULL),
    ("doubt --weights faithful --fit {no}", _NO_FOLDER),
    ("doubt --weights faithful --input {photos}", "error: --input needs --output, the folder for the tables"),
    ("doubt --weights faithful --input {photos} --output {photos}/out", _OUTPUT_INSIDE),
    ("evaluate --input {no} --output {out}", _NO_FOLDER),
    ("evaluate --input {photos} --output {out} --methods faithfull", _FAITHFULL),
    ("evaluate --input {photos} --output {photos}/out", _OUTPUT_INSIDE),
    ("promote --registry r/x --challenger faithfull --photos {photos}", _FAITHFULL),
    ("promote --registry r/x --challenger vivid --photos {no}", _NO_FOLDER),
    ("promote --registry r/x --challenger vivid --photos {photos} --trained-on {no}", _NO_FOLDER),
    ("promote --registry r/# --history", "error: 'r/#' is not the name of a weights registry"),
    ("retrain --registry r/x --photos {no} --held-out {photos} --output {out}", _NO_FOLDER),
    ("retrain --registry r/x --held-out {photos} --output {out}", "error: give photographs with --photos"),
    ("retrain --registry r/x --photos {photos} --held-out {photos} --output {out} --set model.weights=vivid",
     "error: model.weights is set by the cycle itself: leave it out"),
    ("submit --address localhost:8265 -- weights", "fiat-color submit: error: argument --address: "),
    ("submit --working-dir {no} -- weights", "fiat-color submit: error: argument --working-dir: there is no"),
    ("submit -- colourize {photos} {out}", "fiat-color submit: error: fiat-color has no command colourize"),
    ("submit -- train --photoss {photos}", "fiat-color submit: error: "),
]  # fmt: skip
"""What is typed, and how the last line begins that is printed."""


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("mistakes")
    fill(str(root / "photos"), {"a.jpg": encoded(photograph(1)), "a.onnx": b"no graph"})
    (root / "file").write_text("")
    return {name: root / name for name in ("photos", "no", "out", "file")}


@pytest.fixture(scope="module")
def outcomes(places: dict[str, Path]) -> dict[str, Any]:
    """Status, output and slow modules of each case, and what all of them cost."""
    calls = [words.format(**places).split() for words, _ in CASES]
    environment = {**os.environ, "PYTHONPATH": str(IMPORT_ROOT)}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], input=json.dumps(calls), capture_output=True, text=True,
        env=environment, cwd=places["photos"].parent, timeout=300, check=False,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {words: line for (words, _), line in zip(CASES, lines, strict=True)} | {"seconds": seconds}


@pytest.mark.slow
@pytest.mark.parametrize(("words", "said"), CASES, ids=[words for words, _ in CASES])
def test_a_mistake_is_told_before_the_slow_imports(
    words: str, said: str, outcomes: dict[str, Any], places: dict[str, Path]
) -> None:
    status, printed, slow, made = outcomes[words]
    assert status == 2, printed
    assert printed.splitlines()[-1].startswith(said.format(**places)), printed
    assert "Traceback" not in printed
    if not said.startswith("fiat-color"):  # argparse says the usage first
        assert printed.count("\n") == 1
    assert slow == []
    assert not made


def test_that_costs_little(outcomes: dict[str, Any]) -> None:
    assert outcomes["seconds"] < _CPU_SECONDS


def test_every_command_is_asked() -> None:
    """colorize is in tests/run/test_mistakes.py; benchmark is a program of the checkout."""
    assert {words.split()[0] for words, _ in CASES} == COMMANDS.keys() - {"colorize", "benchmark"}
