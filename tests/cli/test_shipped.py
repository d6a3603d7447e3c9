"""`--config` takes a file, or a configuration that comes with the package, named in three ways."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from pipeline.cli.shipped import SHIPPED, shipped_config, shipped_names
from tests.support.paths import REPO


@pytest.mark.parametrize("text", ["demo", "colorize/demo", "configs/colorize/demo.yaml"])
def test_a_shipped_one_is_named_in_three_ways(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Path(shipped_config("colorize", text)).samefile(REPO / "configs" / "colorize" / "demo.yaml")


def test_a_file_of_the_user_s_goes_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "demo").write_text("model: {side: 64}")
    monkeypatch.chdir(tmp_path)
    assert shipped_config("colorize", "demo") == "demo"


def test_a_word_that_is_neither_is_refused_with_what_there_is() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"'dmeo' is neither a file nor .*: archive-scan,"):
        shipped_config("colorize", "dmeo")


@pytest.mark.parametrize("path", ["nowhere/demo.yaml", "../../pyproject", "night.yaml", "$CONFIG"])
def test_a_path_is_left_for_its_reader_to_refuse(path: str) -> None:
    assert shipped_config("colorize", path) == path


def test_every_folder_of_configs_ships() -> None:
    kinds = {path.name for path in (REPO / "configs").iterdir()}
    assert kinds == {path.name for path in SHIPPED.iterdir()}
    assert all(shipped_names(kind) for kind in kinds)
