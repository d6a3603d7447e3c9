"""The script behind `make setup`: it does not stay silent if another Python was requested."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

from tests.support.paths import REPO


def test_an_environment_of_another_python_is_not_taken_for_the_one_that_was_named(tmp_path: Path) -> None:
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    other = "3.12" if here != "3.12" else "3.13"
    named = tmp_path / "python"
    named.write_text(f"#!/bin/sh\necho {other}\n")  # what a Python of that version answers
    named.chmod(0o755)
    place = tmp_path / "venv"
    venv.create(place, symlinks=True)
    done = subprocess.run(
        ["bash", str(REPO / "infra" / "setup_env.sh"), "dev"], capture_output=True, text=True, check=False,
        env={**os.environ, "VENV": str(place), "PYTHON": str(named)},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"{place} has Python {here}, and PYTHON={named} is {other}: name another environment, such as "
        f"VENV=.venv-{other}, or remove {place}\n"
    )
    assert not (place / "installed.lock").exists()
