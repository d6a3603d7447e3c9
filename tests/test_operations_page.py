"""docs/operations.md keeps to what is there: statuses, keys, files and commands."""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from pathlib import Path

import yaml

from pipeline.config import JobConfig, parse
from pipeline.flow.notify import TOKEN_VARIABLE, Outcome, notice
from pipeline.stages.report.summary import EXIT_MEANING

REPO = Path(__file__).parent.parent
PAGE = (REPO / "docs" / "operations.md").read_text(encoding="utf-8")


def test_every_exit_status_has_a_row_of_advice() -> None:
    rows = {int(status) for status in re.findall(r"^\| ([0-9]) \|", PAGE, re.MULTILINE)}
    assert rows == set(EXIT_MEANING)


def test_its_configuration_is_valid_and_every_key_it_names_exists() -> None:
    (block,) = re.findall(r"```yaml\n(.+?)```", PAGE, re.DOTALL)
    assert parse(JobConfig, yaml.safe_load(block)).report.keep == 30
    sections = {name: set(values) for name, values in JobConfig().model_dump().items()}
    named = re.findall(rf"\b({'|'.join(sections)})\.([a-z_]+)\b(?![./(])", re.sub(r"\S*/\S*", "", PAGE))
    assert len(named) > 5
    assert [f"{section}.{key}" for section, key in named if key not in sections[section]] == []


def test_its_files_exist_and_its_commands_are_understood() -> None:
    named = set(re.findall(r"\b((?:infra|configs|jobs)/[\w./-]*\w)", PAGE))
    named |= {f"docs/{name}" for name in re.findall(r"\]\((\w+\.md)\)", PAGE)}
    assert [name for name in sorted(named) if not (REPO / name).exists()] == []
    commands = re.findall(r"python (jobs/\w+)\.py ([^`\n]+)", PAGE)
    assert len(commands) == 5
    for job, arguments in commands:
        assert import_module(job.replace("/", ".")).parse(shlex.split(arguments))


def test_its_webhook_message_has_the_keys_of_a_real_one() -> None:
    (block,) = re.findall(r"```json\n(.+?)```", PAGE, re.DOTALL)
    example = yaml.safe_load(block)
    assert example.keys() == notice("run", "in", "out", Outcome(3, "said")).keys()
    for status in EXIT_MEANING:
        assert f"`{notice('run', 'in', 'out', Outcome(status, 'said'))['status']}`" in PAGE
    assert TOKEN_VARIABLE in PAGE
