"""Optional packages are those of pyproject.toml, and a missing one is one line that says what to install."""

from __future__ import annotations

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


@pytest.mark.parametrize("extra", MODULES)
def test_the_modules_are_those_of_the_packages(extra: str) -> None:
    distributions = metadata.packages_distributions()
    brought = {distributions[module][0] for module in MODULES[extra]}
    assert {"ray" if name == "tensorboardX" else name for name in brought} == packages(extra)
    require(extra, "this test")


def test_every_extra_but_the_tests_own_is_there() -> None:
    assert MODULES.keys() == PROJECT["optional-dependencies"].keys() - {"dev"}


def test_what_is_optional_is_not_demanded_too() -> None:
    always = {Requirement(line).name for line in PROJECT["dependencies"]} - {"ray"}
    assert not any(packages(extra) & always for extra in MODULES)


WITHOUT = """
import sys
from importlib.machinery import PathFinder

class AsIfNotInstalled(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in {modules!r} else PathFinder.find_spec(name, path, target)

sys.meta_path = [AsIfNotInstalled if finder is PathFinder else finder for finder in sys.meta_path]
from pipeline.commands.program import main
sys.exit(main(sys.argv[1:]))
"""


def fiat_color(modules: set[str], *words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The program in a process that finds none of the modules."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT.format(modules=modules), *words],
        cwd=folder, capture_output=True, text=True, check=False, timeout=100,
        env=os.environ | {"PYTHONPATH": str(REPO)},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("c2pa", ["colorize", "scans", "out", "--set", "output.c2pa.certificates=chain.pem", "--dry-run"]),
        ("onnx", ["colorize", "scans", "out", "--weights", "scans/x.onnx", "--dry-run"]),
        ("train", ["train", "--set", "data.photos=scans"]),
    ],
)
def test_a_missing_extra_is_one_line(extra: str, words: list[str], tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "x.onnx").write_bytes(b"no graph")
    ran = fiat_color(set(MODULES[extra]), *words, folder=tmp_path)
    assert (ran.returncode, ran.stderr.count("\n")) == (2, 1), ran.stderr
    assert f"pip install 'fiat-color[{extra}]'" in ran.stderr


def test_colouring_needs_no_extra(tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    modules = {module for names in MODULES.values() for module in names}
    ran = fiat_color(modules, "colorize", "scans", "out", "--dry-run", folder=tmp_path)
    assert ran.returncode == 0, ran.stderr
