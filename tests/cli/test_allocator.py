"""The process of the colouring command returns memory; both ways to call it set this in time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_POOL = "\nimport pyarrow\nprint(pyarrow.default_memory_pool().backend_name)"
_CALL = """
import contextlib, io, runpy, sys
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
    sys.argv = {words}
    {call}
"""
_AS_PROGRAM = "from pipeline.commands import program; program.main()"
_AS_JOB = "runpy.run_path('jobs/colorize_bucket.py', run_name='__main__')"


def pool(code: str, **environment: str) -> str:
    """The allocator that pyarrow has chosen in a fresh Python after this code."""
    return subprocess.run(
        [sys.executable, "-c", code + _POOL],
        cwd=ROOT,
        env=environment,
        text=True,
        check=True,
        stdout=subprocess.PIPE,
    ).stdout.strip()


@pytest.mark.job
@pytest.mark.parametrize(
    ("words", "call"), [(["fiat-color", "colorize", "--help"], _AS_PROGRAM), (["job", "--help"], _AS_JOB)]
)
def test_the_colouring_command_takes_the_allocator_of_the_system(words: list[str], call: str) -> None:
    assert pool(_CALL.format(words=words, call=call)) == "system"


@pytest.mark.slow
def test_a_process_that_has_imported_pyarrow_stays_as_it_is() -> None:
    code = "import os, pyarrow\nfrom pipeline.cli.allocator import give_back_freed_memory as give\ngive()"
    assert pool(code) == pool("")
    assert pool(f"{code}\nassert 'ARROW_DEFAULT_MEMORY_POOL' not in os.environ") == pool("")


def test_it_is_not_the_default_and_who_chooses_another_keeps_it() -> None:
    give = "from pipeline.cli.allocator import give_back_freed_memory; give_back_freed_memory()"
    chosen = pool("")
    assert chosen != "system"
    assert pool(give, ARROW_DEFAULT_MEMORY_POOL=chosen) == chosen
