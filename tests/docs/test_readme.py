"""The README has a row for every code, column and status. `test_references.py` follows what it names."""

import re

import pytest

from pipeline.ledger.schema import LEDGER_SCHEMA
from pipeline.records import Status
from tests.support.paths import REPO

README = (REPO / "README.md").read_text(encoding="utf-8")

FIXED_KEYS = [
    "plan.shard_images",
    "plan.shard_bytes",
    "output.format",
    "output.quality",
    "model.side",
    "model.precision",
    "limits.pixels",
    "limits.memory",
    "limits.seconds",
]


def test_it_is_under_200_lines_and_without_gaps() -> None:
    assert len(README.splitlines()) < 200
    assert re.findall(r"@@\w*@@|TODO|FIXME", README) == []


@pytest.mark.parametrize("name", [*LEDGER_SCHEMA.names, *map(str, Status), *FIXED_KEYS])
def test_columns_statuses_and_fixed_keys_are_documented(name: str) -> None:
    assert f"`{name}`" in README


def test_it_names_the_commands_that_a_newcomer_types() -> None:
    assert {"demo", "test"} <= set(re.findall(r"(?:^|`)make ([a-z]+)", README, re.MULTILINE))
