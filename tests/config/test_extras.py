"""Optional packages are those of pyproject.toml, and a missing one is one line that says what to install."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from pipeline.config.extras import MODULES, require
from tests.support.paths import REPO

PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def packages(extra: str) -> set[str]:
    return {Requirement(line).name for line in PROJECT["optional-dependencies"][extra]}


def distribution(module: str) -> str:
    """The name of the package that brings a module; several bring `azure`, say."""
    file = f"{module.replace('.', '/')}/__init__.py"
    named = metadata.packages_distributions()[module.partition(".")[0]]
    return next((name for name in named if file in map(str, metadata.files(name) or ())), named[0])


@pytest.mark.slow
@pytest.mark.parametrize("extra", MODULES)
def test_the_modules_are_those_of_the_packages(extra: str) -> None:
    brought = {distribution(module) for module in MODULES[extra]}
    assert {"ray" if name == "tensorboardX" else name for name in brought} == packages(extra)
    require(extra, "this test")


def test_every_extra_but_the_tests_own_is_there() -> None:
    assert MODULES.keys() == PROJECT["optional-dependencies"].keys() - {"dev"}


def test_what_is_optional_is_not_demanded_too() -> None:
    always = {Requirement(line).name for line in PROJECT["dependencies"]} - {"ray"}
    assert not any(packages(extra) & always for extra in MODULES)


WITHOUT = """
import io, json, sys
from contextlib import redirect_stderr
from importlib.machinery import PathFinder

class AsIfNotInstalled(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        hidden = any(name == one or name.startswith(one + ".") for one in {modules!r})
        return None if hidden else PathFinder.find_spec(name, path, target)

sys.meta_path = [AsIfNotInstalled if finder is PathFinder else finder for finder in sys.meta_path]
from pipeline.commands.program import main

def told(words):
    with redirect_stderr(io.StringIO()) as errors:
        return main(words), errors.getvalue()

print(json.dumps([told(words) for words in json.loads(sys.argv[1])]))
"""

COLORIZE = ["colorize", "scans", "out", "--dry-run"]
WANTING = {
    "azure": ["colorize", "scans", "az://container/out", "--dry-run"],
    "c2pa": [*COLORIZE, "--set", "output.c2pa.certificates=chain.pem"],
    "gcs": ["colorize", "scans", "gs://bucket/out", "--dry-run"],
    "onnx": [*COLORIZE, "--weights", "scans/x.onnx"],
    "train": ["train", "--set", "data.photos=scans"],
}


@pytest.mark.job
def test_colouring_needs_no_extra_and_a_missing_one_is_one_line(tmp_path: Path) -> None:
    """In one process that finds no module of any extra: most of its time are imports."""
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "x.onnx").write_bytes(b"no graph")
    modules = {module for names in MODULES.values() for module in names}
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(modules=modules), json.dumps([COLORIZE, *WANTING.values()])],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=100,
        env=os.environ | {"PYTHONPATH": str(REPO)},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    (status, errors), *refusals = json.loads(ran.stdout.splitlines()[-1])
    assert status == 0, errors
    assert WANTING.keys() == MODULES.keys()
    for extra, (status, errors) in zip(WANTING, refusals, strict=True):
        assert (status, errors.count("\n")) == (2, 1), errors
        assert f"pip install 'fiat-color[{extra}]'" in errors
