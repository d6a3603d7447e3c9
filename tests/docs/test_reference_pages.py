"""The README is short; the pages of the ledger, the settings and the failures have a row for everything."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.config.job import JobConfig
from pipeline.config.loading import load
from pipeline.ledger.schema import LEDGER_SCHEMA
from pipeline.models.shipped_cards import shipped_cards
from pipeline.records import Status
from tests.support.paths import REPO


def page(name: str) -> str:
    return (REPO / name).read_text(encoding="utf-8")


def rows(text: str) -> Iterator[tuple[str, ...]]:
    """The cells of every row of every table."""
    for line in re.findall(r"^\|(.*)\|$", text, re.MULTILINE):
        yield tuple(cell.strip() for cell in re.split(r"(?<!\\)\|", line))


def test_the_readme_is_a_screen_and_a_half_and_without_gaps() -> None:
    assert len(page("README.md").splitlines()) <= 100
    assert re.findall(r"@@\w*@@|TODO|FIXME", page("README.md")) == []


def test_the_readme_says_early_who_may_use_the_weights() -> None:
    before = page("README.md").partition("## Install")[0]
    assert "non-commercial research" in " ".join(before.split()).replace("**", "")


def test_it_names_the_commands_that_a_newcomer_types() -> None:
    typed = set(re.findall(r"^(make [a-z]+|fiat-color [a-z]+)", page("README.md"), re.MULTILINE))
    commands = {f"fiat-color {name}" for name in ("colorize", "review", "verify", "export")}
    assert typed >= {"make demo", *commands}


def test_every_column_and_status_has_one_row() -> None:
    first = [cells[0] for cells in rows(page("docs/ledger.md"))]
    named = [name for cell in first for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(named) == sorted(["status", *LEDGER_SCHEMA.names, *map(str, Status)])


def default_of(key: str) -> object:
    value: object = JobConfig()
    for name in key.split("."):
        value = getattr(value, name)
    return value


def test_the_defaults_of_the_settings_are_those_of_the_code() -> None:
    """A setting given the default that the page states leaves the configuration as it is."""
    words = "all", "all cores", "all GPUs", "the shipped `faithful`", "AWS", "no certificates"
    keys = []
    for key_cell, defaults, *_ in rows(page("docs/configuration.md")):
        names = re.findall(r"`([a-z_]+(?:\.[a-z0-9_]+)+)`", key_cell)
        values = defaults.split(", ")
        assert not names or len(names) == len(values), key_cell
        for name, value in zip(names, values, strict=False):
            keys.append(name)
            if value in words:
                assert default_of(name) in (None, ()), name
            else:
                assert load(JobConfig, None, [f"{name}={value}"]) == load(JobConfig, None, []), name
    assert len(keys) > 20


def test_the_weights_that_ship_have_a_row_each() -> None:
    first = {cells[0] for cells in rows(page("docs/weights.md").partition("## How good")[0])}
    assert {f"`{name}`" for name in ("faithful", "vivid", "iizuka", "patch")} <= first
    assert {"faithful", "vivid", "iizuka", "patch"} <= set(shipped_cards())


@pytest.mark.parametrize("path", sorted((REPO / "docs").glob("*.md")), ids=lambda path: path.name)
def test_every_page_begins_with_its_title(path: Path) -> None:
    assert re.match(r"# \S", path.read_text(encoding="utf-8").lstrip("\n")), path
