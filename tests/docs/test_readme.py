"""The README keeps to what is there: codes, columns, keys, files and commands."""

import re

import pytest

from pipeline.config.job import JobConfig
from pipeline.errors import FailureCode
from pipeline.ledger.schema import LEDGER_SCHEMA
from pipeline.photographs.settings import PrepareConfig
from pipeline.records import Status
from pipeline.training.settings import TrainConfig
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


@pytest.mark.parametrize("code", [str(code) for code in FailureCode])
def test_every_failure_code_has_a_row_of_advice(code: str) -> None:
    advice = re.search(rf"^\| `{code}` \| (.+) \|$", README, re.MULTILINE)
    assert advice, f"no row for {code} in the troubleshooting table"
    assert len(advice[1]) > 15


@pytest.mark.parametrize("name", [*LEDGER_SCHEMA.names, *map(str, Status), *FIXED_KEYS])
def test_columns_statuses_and_fixed_keys_are_documented(name: str) -> None:
    assert f"`{name}`" in README


def test_every_key_it_names_exists() -> None:
    sections = {name: set(values) for name, values in JobConfig().model_dump().items()}
    named = re.findall(rf"\b({'|'.join(sections)})\.([a-z_]+)\b(?![./(])", re.sub(r"\S*/\S*", "", README))
    unknown = [f"{section}.{key}" for section, key in named if key not in sections[section]]
    assert named
    assert unknown == []


def test_every_key_the_training_page_names_exists() -> None:
    page = (REPO / "docs/training.md").read_text(encoding="utf-8")
    models = (TrainConfig(), PrepareConfig())
    sections = {name: set(values) for model in models for name, values in model.model_dump().items()}
    named = re.findall(rf"\b({'|'.join(sections)})\.([a-z_]+)\b(?![./(])", re.sub(r"\S*/\S*", "", page))
    assert len(named) > 10
    assert [f"{section}.{key}" for section, key in named if key not in sections[section]] == []


def test_every_file_it_points_to_exists() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    paths = re.findall(r"`((?:jobs|configs|tests|infra|pipeline|\.ci)/[\w./-]+|LICENSE)`", README)
    paths += re.findall(r"\b((?:jobs|configs)/[\w/-]+\.(?:py|yaml))\b", README)
    local = [path for path in [*links, *paths] if not path.startswith("http")]
    assert local
    assert [path for path in local if not (REPO / path).exists()] == []


def test_every_make_target_it_names_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (REPO / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", README, re.MULTILINE))
    assert {"demo", "test"} <= named
    assert named <= targets
