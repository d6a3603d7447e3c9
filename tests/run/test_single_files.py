"""Photographs may be named one by one; they keep the keys that they have in their folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.config.storage import StorageConfig
from pipeline.errors import ConfigError
from pipeline.run.single_files import Source, source_of
from tests.support.job_runner import encoded, fill, photograph
from tests.support.servers import S3Server

NO = StorageConfig()
IMAGE = encoded(photograph(1, 64, 48))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    fill(str(tmp_path), dict.fromkeys(("a.jpg", "no-suffix", "sub/b.jpg", "sub/deep/c.jpg"), IMAGE))
    fill(str(tmp_path), {"notes.md": b"words", "broken.tif": b"words"})
    return tmp_path


@pytest.mark.parametrize(
    ("names", "shared", "keys"),
    [
        (["a.jpg"], "", ("a.jpg",)),
        (["no-suffix"], "", ("no-suffix",)),
        (["broken.tif"], "", ("broken.tif",)),  # gets its row
        (["sub/b.jpg"], "sub", ("b.jpg",)),
        (["sub/b.jpg", "sub/deep/c.jpg"], "sub", ("b.jpg", "deep/c.jpg")),
        (["sub/b.jpg", "a.jpg", "a.jpg"], "", ("a.jpg", "sub/b.jpg")),
    ],
)
def test_files_are_keys_of_the_folder_that_they_share(
    folder: Path, names: list[str], shared: str, keys: tuple[str, ...]
) -> None:
    source = source_of([str(folder / name) for name in names], NO)
    assert Path(source.folder) == folder / shared
    assert source.keys == keys


def test_a_folder_is_all_that_it_holds(folder: Path) -> None:
    for place in (str(folder), str(folder / "nowhere"), "s3://bucket/scans"):
        assert source_of([place], NO) == Source(place)


@pytest.mark.parametrize(
    ("name", "alone", "message"),
    [
        ("sub", False, "is not a photograph: give one folder"),
        ("nowhere", False, "is not a photograph: give one folder"),
        ("notes.md", True, r"notes\.md is not a photograph, by its name and its first bytes"),
        ("sub/nowhere.jpg", True, r"there is no photograph .*nowhere\.jpg; check the path"),
    ],
)
def test_what_is_no_photograph_is_called_so(folder: Path, name: str, alone: bool, message: str) -> None:
    place = str(folder / name)
    for places in [[str(folder / "a.jpg"), place], *([[place]] if alone else [])]:
        with pytest.raises(ConfigError, match=message):
            source_of(places, NO)


def test_an_object_is_named_with_its_bucket(s3_moto: S3Server, folder: Path) -> None:
    root = f"s3://{s3_moto.bucket()}"
    fill(f"{root}/scans", {"a.jpg": IMAGE, "b/c.jpg": IMAGE}, s3_moto.storage_config)
    one = source_of([f"{root}/scans/a.jpg"], s3_moto.storage_config)
    assert one == Source(f"{root}/scans", ("a.jpg",))
    both = source_of([f"{root}/scans/b/c.jpg", f"{root}/scans/a.jpg"], s3_moto.storage_config)
    assert both == Source(f"{root}/scans", ("a.jpg", "b/c.jpg"))
    folder_name = source_of([f"{root}/scans/album.jpg"], s3_moto.storage_config)
    assert folder_name == Source(f"{root}/scans/album.jpg")
    with pytest.raises(ConfigError, match="lie in folders and s3://"):
        source_of([f"{root}/scans/a.jpg", str(folder / "a.jpg")], s3_moto.storage_config)


@pytest.mark.slow
def test_the_command_plans_a_photograph_beside_its_output(
    folder: Path, monkeypatch: pytest.MonkeyPatch, in_process: Callable
) -> None:
    monkeypatch.chdir(folder)
    done = in_process("colorize_bucket", "a.jpg", "out/", "--dry-run", "--set", "model.side=64")
    assert done.returncode == 0, done.stderr
    assert f"input    {folder}: 1 file" in done.stdout
    both = in_process("colorize_bucket", "a.jpg", "sub/b.jpg", "out/", "--dry-run", "--set", "model.side=64")
    assert f"input    {folder}: 2 files" in both.stdout
    (folder / "keys.txt").write_text("sub/b.jpg\n")
    chosen = in_process("colorize_bucket", folder, "/tmp/nowhere", "--keys", "keys.txt", "--dry-run",
                        "--set", "model.side=64")  # fmt: skip
    assert f"input    {folder}: 1 file" in chosen.stdout
    twice = in_process("colorize_bucket", "a.jpg", "out/", "--keys", "keys.txt", "--dry-run")
    assert (twice.returncode, twice.stderr.count("\n")) == (2, 1)


def test_a_result_is_no_input(folder: Path, in_process: Callable) -> None:
    done = in_process("colorize_bucket", folder / "images" / "a.jpg", folder, "--dry-run")
    assert done.returncode == 2
    fill(str(folder), {"images/a.jpg": IMAGE})
    done = in_process("colorize_bucket", folder / "images" / "a.jpg", folder, "--dry-run")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "among the results" in done.stderr
