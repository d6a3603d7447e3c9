"""How a command's process ends: nothing that native code does at its exit changes the exit status."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import REPO

PROGRAMS = [*sorted((REPO / "jobs").glob("*.py")), REPO / "fiat_color" / "__main__.py"]

#: A native library whose clean-up at the end of the process aborts it.
ABORTS = """
import ctypes
native = ctypes.CDLL(None)
native.__cxa_atexit(native.abort, None, None)
"""
LEAVES = "from pipeline.cli.ending import leave\n"
#: Without buffers there would be nothing to flush.
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


def python(script: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script]
    pipes = {"capture_output": True, "text": True}
    return subprocess.run(command, **pipes, cwd=REPO, env=BUFFERED, timeout=120, check=False)


def test_an_abort_of_native_code_at_the_end_does_not_count() -> None:
    assert python(f"{ABORTS}raise SystemExit(3)").returncode == -signal.SIGABRT
    assert python(f"{LEAVES}{ABORTS}leave(3)").returncode == 3


def test_nor_in_a_real_command() -> None:
    script = (
        "import runpy, sys\nsys.argv[1:] = ['weights']\nrunpy.run_module('fiat_color', run_name='__main__')"
    )
    done = python(f"{ABORTS}{script}")
    assert done.returncode == 0, done.stderr
    assert "vivid" in done.stdout


def test_all_that_was_printed_goes_through_a_pipe() -> None:
    done = python(f"{LEAVES}import sys\nsys.stdout.write('o' * 99_999)\nsys.stderr.write('e' * 5)\nleave(0)")
    assert (done.returncode, len(done.stdout), done.stderr) == (0, 99_999, "e" * 5)


LASTS = """
import atexit, os, sys, tempfile, threading, time
from pipeline.cli import log
folder = tempfile.TemporaryDirectory()
print(folder.name, flush=True)
threading.Thread(target=lambda: (time.sleep(0.3), print("thread"))).start()
atexit.register(print, "registered")
log.set_up("json")
os.write(1, b"from native code")
leave(4)
"""


def test_what_is_to_be_done_at_the_end_is_done() -> None:
    """Temporary folders go, threads end, functions of `atexit` run, and the JSON log gets its last lines."""
    done = python(f"{LEAVES}{LASTS}")
    assert done.returncode == 4
    folder, last = done.stdout.splitlines()
    assert not Path(folder).exists()
    assert last == "registered"  # before the log was set up: so it comes after its end
    assert "from native code" in done.stderr
    assert "thread" in done.stderr


def test_a_reader_that_has_gone_is_told_as_python_tells_it() -> None:
    command = [sys.executable, "-c", f"{LEAVES}print('x', end='')\nleave(0)"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, **pipes, text=True, cwd=REPO, env=BUFFERED)
    assert process.stdout is not None
    process.stdout.close()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 120
    assert "BrokenPipeError" in errors


def test_an_exception_ends_a_process_as_ever() -> None:
    done = python(f"{LEAVES}raise KeyError('x')")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, "KeyError: 'x'")


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_every_program_ends_so_and_registers_that_before_anything_else(program: Path) -> None:
    tree = ast.parse(program.read_text(encoding="utf-8"))
    modules = [str(node.module) for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert next(name for name in modules if name.startswith("pipeline")) == "pipeline.cli.ending"
    calls = [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert "leave" in calls
    assert "sys.exit" not in calls
