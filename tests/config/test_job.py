"""Every shipped configuration is valid; `default.yaml` has all defaults."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.color.toning import REAL_COLOUR_SPREAD
from pipeline.config.job import JobConfig
from pipeline.config.loading import load
from pipeline.errors import ConfigError
from tests.support.paths import REPO

FOLDER = REPO / "configs" / "colorize"
FILES = sorted(FOLDER.glob("*"))


def keys(tree: dict[str, Any]) -> set[str]:
    return {f"{section}.{key}" for section, values in tree.items() for key in values}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_shipped_configuration_validates(file: Path) -> None:
    assert load(JobConfig, str(file)).model_dump() is not None
    assert file.suffix == ".yaml"


def test_default_yaml_equals_the_defaults() -> None:
    assert load(JobConfig, str(FOLDER / "default.yaml")) == JobConfig()


def test_default_yaml_spells_out_every_key() -> None:
    written = yaml.safe_load((FOLDER / "default.yaml").read_text(encoding="utf-8"))
    assert keys(written) == keys(JobConfig().model_dump())


def test_default_yaml_explains_every_key() -> None:
    lines = (FOLDER / "default.yaml").read_text(encoding="utf-8").splitlines()
    bare = [
        line
        for before, line in pairwise(lines)
        if line.startswith("  ") and "#" not in line and "#" not in before
    ]
    assert bare == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_other_configuration_changes_something(file: Path) -> None:
    if file.name != "default.yaml":
        assert load(JobConfig, str(file)) != JobConfig()


def test_a_misspelt_key_in_a_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text("output:\n  qualty: 80\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"output\.qualty.*allowed in output: format, quality"):
        load(JobConfig, str(file))


def test_real_colour_begins_where_it_was_calibrated() -> None:
    assert JobConfig().model.color_threshold == REAL_COLOUR_SPREAD
