"""The container's recipe: linted, pinned, complete. No container engine is needed: what the image installs is
installed here, into a fresh folder, and the job is run from it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path
from sysconfig import get_path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from PIL import Image

from pipeline.config.extras import MODULES
from tests.support.job_runner import POOL, encoded, photograph
from tests.support.paths import REPO

DOCKERFILE = REPO / "infra" / "Dockerfile"
LOCK = (REPO / "requirements.lock").read_text(encoding="utf-8")


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(get_path("scripts")) / "hadolint"
    done = subprocess.run([hadolint, "--no-color", DOCKERFILE], capture_output=True, text=True, check=False)
    assert done.stdout + done.stderr == ""
    assert done.returncode == 0


def test_the_image_runs_as_a_numbered_user_who_is_not_root() -> None:
    users = re.findall(r"^USER (\S+)", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE)
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1])


def test_what_the_image_copies_is_let_through() -> None:
    """.dockerignore leaves everything out but a list; what the recipe copies must be on it, and exist."""
    rules = (REPO / ".dockerignore").read_text(encoding="utf-8").splitlines()
    kept = [rule[1:] for rule in rules if rule.startswith("!")]
    assert "*" in rules
    copies = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE)
    sources = [source for copy in copies for source in copy.split()]
    assert set(sources) == set(kept)
    assert [source for source in sources if not (REPO / source).exists()] == []


def test_the_lock_pins_everything_that_runs() -> None:
    """The image installs pyproject's dependencies under the lock as constraint: what the lock does not name,
    pip would choose by itself. The NVIDIA libraries are pinned by torch."""
    pinned = {canonicalize_name(name) for name in re.findall(r"^([\w.-]+)==", LOCK, re.MULTILINE)}
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [project["optional-dependencies"][name] for name in MODULES]
    installed = [*project["dependencies"], *(line for lines in extras for line in lines)]
    waiting, seen = [Requirement(line) for line in installed], set[tuple[str, str]]()
    while waiting:
        wanted = waiting.pop()
        for extra in ["", *sorted(wanted.extras)]:
            if (wanted.name, extra) in seen:
                continue
            seen.add((wanted.name, extra))
            needs = [Requirement(line) for line in metadata.requires(wanted.name) or []]
            waiting += [r for r in needs if r.marker is None or r.marker.evaluate({"extra": extra})]
    needed = {canonicalize_name(name) for name, _ in seen}
    assert len(needed) > 50
    not_cuda = {name for name in needed - pinned if not re.match(r"nvidia|cuda|triton", name)}
    assert not_cuda == set()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package as `pip install .` leaves it, and beside it `app/` as in the image."""
    root = tmp_path_factory.mktemp("image")
    left_out = shutil.ignore_patterns("__pycache__", "*.nbi", "*.nbc")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (root / "src").mkdir(exist_ok=True)
        shutil.copy(REPO / name, root / "src" / name)
    for name in ("pipeline", "fiat_color", "configs"):
        shutil.copytree(REPO / name, root / "src" / name, ignore=left_out, symlinks=True)
    for name in ("jobs", "configs"):
        shutil.copytree(REPO / name, root / "app" / name, ignore=left_out)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--no-index", "--no-compile", "--target", root / "site", root / "src"], check=True)
    return root


def test_the_image_has_every_extra_but_the_tests_own() -> None:
    (names,) = re.findall(r'for name in \(("[^)]+")\)', DOCKERFILE.read_text(encoding="utf-8"))
    assert re.findall(r'"(\w+)"', names) == [*MODULES]


@pytest.mark.job
def test_the_package_brings_all_that_pipeline_holds(installed: Path) -> None:
    def held(folder: Path) -> set[str]:
        files = (Path(at, name) for at, _, names in os.walk(folder, followlinks=True) for name in names)
        left_out = ("*.pyc", "*.nbi", "*.nbc")
        return {str(p.relative_to(folder)) for p in files if not any(fnmatch(p.name, x) for x in left_out)}

    expected = held(REPO / "pipeline")
    assert "configs/colorize/demo.yaml" in expected
    assert {"weights/faithful.safetensors", "evaluate/imagenet_wnids.txt"} <= expected
    assert held(installed / "site" / "pipeline") == expected
    assert held(installed / "site" / "fiat_color") == held(REPO / "fiat_color")


@pytest.mark.job
def test_the_installed_command_colours_a_folder_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "a.jpg").write_bytes(encoded(photograph(1, 64, 48)))
    command = [str(installed / "site" / "bin" / "fiat-color"), "colorize", "scans", "colored"]
    done = subprocess.run(
        [*command, "--config", "demo", *POOL],
        capture_output=True, text=True, cwd=tmp_path, check=False, timeout=200,
        env={**os.environ, "PYTHONPATH": str(installed / "site")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (image,) = (path for path in (tmp_path / "colored" / "images").rglob("*") if path.is_file())
    with Image.open(image) as colored:
        assert (colored.size, colored.mode) == ((64, 48), "RGB")
    for words in (["review"], ["export", "--format", "csv", "--to", "colored.csv"]):
        done = subprocess.run(
            [command[0], words[0], "colored", *words[1:]],
            capture_output=True, text=True, cwd=tmp_path, check=False, timeout=200,
            env={**os.environ, "PYTHONPATH": str(installed / "site")},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "colored" / "gallery" / "index.html").is_file()
    assert "\na.jpg," in (tmp_path / "colored.csv").read_text(encoding="utf-8")


@pytest.mark.job
def test_the_job_runs_from_the_installed_package(installed: Path) -> None:
    """As in the image: beside the jobs lies no pipeline, so that only the installed one can be imported."""
    program = "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    (installed / "in").mkdir()
    (installed / "in" / "a.txt").write_text("no photograph, so that nothing is compiled for it")
    job = [sys.executable, "-c", program, "jobs/colorize_bucket.py", "--output", str(installed / "out")]
    done = subprocess.run(
        [*job, "--input", str(installed / "in"), "--dry-run"],
        capture_output=True, text=True, cwd=installed / "app", check=False, timeout=120,
        env={**os.environ, "PYTHONPATH": str(installed / "site"), "NUMBA_DISABLE_JIT": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "weights  faithful (unet)\n" in done.stdout
    assert not (installed / "out").exists()
