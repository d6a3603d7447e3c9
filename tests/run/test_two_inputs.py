"""Two inputs with the same names in one output: never one source, unless they are the same photographs."""

from __future__ import annotations

import os
import shutil
from itertools import product
from pathlib import Path

import pytest

from tests.support.job_runner import encoded, fill, image_digests, ledger, photograph

NAMES = ("001.jpg", "sub/002.jpg", "sub/003.jpg")


def scans(first: int, format: str = "JPEG", names: tuple[str, ...] = NAMES) -> dict[str, bytes]:
    return {name: encoded(photograph(first + i, 64, 48), format) for i, name in enumerate(names)}


@pytest.fixture
def run(tmp_path: Path, colorize):
    """Colours a folder of `tmp_path`, or a URI, into `out`."""

    def call(name: str, *more: object):
        place = name if "://" in name else tmp_path / name
        return colorize("--input", place, "--output", tmp_path / "out", *more)

    return call


def assert_refused(done, tmp_path: Path, *named: str) -> None:
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith(
        "error: " + ", ".join(map(repr, named)) + f" of {tmp_path / 'b'} are not the images "
    )
    assert f"with the same names from {tmp_path / 'a'}, whose results are in {tmp_path / 'out'}; " in line
    assert line.endswith("or add --set plan.replace_input=true if this input replaces that one")


@pytest.mark.job
@pytest.mark.parametrize("settings", [(), ("--set", "output.format=png")], ids=["same", "another format"])
def test_other_photographs_of_the_same_names_are_refused(run, in_process, tmp_path, settings) -> None:
    """The first input's results would be written over, or superseded, so that prune removes them."""
    out = str(tmp_path / "out")
    fill(str(tmp_path / "a"), scans(0))
    fill(str(tmp_path / "b"), scans(10) | scans(20, names=("more.jpg",)))
    assert run("a").returncode == 0
    images, rows = image_digests(out), ledger(out)
    assert {row["input"] for row in rows} == {str(tmp_path / "a")}
    assert_refused(run("b", *settings), tmp_path, *NAMES)
    assert (image_digests(out), ledger(out)) == (images, rows)
    in_process("prune", "--output", out, "--apply")
    assert image_digests(out) == images
    assert run("b", *settings, "--set", "plan.include=more.jpg").returncode == 0  # no name of the other one's
    assert images.items() < image_digests(out).items()


@pytest.mark.job
def test_equal_sizes_do_not_make_photographs_the_same(run, tmp_path) -> None:
    fill(str(tmp_path / "a"), scans(0, "TIFF"))
    fill(str(tmp_path / "b"), scans(0, "TIFF") | scans(10, "TIFF", NAMES[1:2]))
    assert len({len(data) for data in scans(0, "TIFF").values()}) == 1
    assert run("a").returncode == 0
    assert_refused(run("b"), tmp_path, NAMES[1])


@pytest.mark.job
def test_an_input_takes_the_place_of_another_where_its_user_says_so(run, tmp_path) -> None:
    out = str(tmp_path / "out")
    fill(str(tmp_path / "a"), scans(0))
    fill(str(tmp_path / "b"), scans(10))
    assert run("a").returncode == 0
    assert run("b", "--set", "plan.replace_input=true").returncode == 0
    inputs = [str(tmp_path / name) for name in "ab"]
    assert sorted((row["key"], row["input"]) for row in ledger(out)) == list(product(sorted(NAMES), inputs))
    assert "all 3 files are in the ledger" in run("b").stdout
    fill(str(tmp_path / "b"), scans(30, names=("001.jpg",)))  # scanned again: a new version of its own
    assert run("b").returncode == 0


@pytest.mark.job
def test_an_archive_that_moves_to_a_bucket_goes_on(run, tmp_path, s3_moto) -> None:
    bucket = s3_moto.bucket()
    place, out = f"s3://{bucket}/scans", str(tmp_path / "out")
    fill(str(tmp_path / "a"), scans(0))
    assert run("a").returncode == 0
    images = image_digests(out)
    fill(place, scans(0) | scans(20, names=("new.jpg",)), s3_moto.storage_config)
    moved = run(place, *s3_moto.settings)
    assert moved.returncode == 0, moved.stderr
    assert images.items() < image_digests(out).items()
    fill(
        place, scans(30, names=("001.jpg", "new.jpg")), s3_moto.storage_config
    )  # new versions, of this input
    assert run(place, *s3_moto.settings).returncode == 0
    assert image_digests(out)["images/001.jpg"] != images["images/001.jpg"]


@pytest.mark.job
def test_a_folder_under_another_name_is_the_same_input(run, tmp_path) -> None:
    """A copy that keeps times has nothing to do; one that does not is coloured again to the same bytes."""
    fill(str(tmp_path / "a"), scans(0))
    assert run("a").returncode == 0
    images = image_digests(str(tmp_path / "out"))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert "all 3 files are in the ledger" in run("b").stdout
    os.utime(tmp_path / "b" / "001.jpg")
    assert run("b").returncode == 0
    assert image_digests(str(tmp_path / "out")) == images
