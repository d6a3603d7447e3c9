"""docs/operations.md matches the code: statuses, keys, files and commands."""

from __future__ import annotations

import re
import shlex
from importlib import import_module

import yaml

from pipeline.config.job import JobConfig
from pipeline.config.loading import parse
from pipeline.report.advice import EXIT_MEANING
from pipeline.run.notify import TOKEN_VARIABLE, Outcome, notice
from tests.support.operations_page import NOT_RUN, PAGE, commands, night_yaml
from tests.support.paths import REPO


def test_every_exit_status_has_a_row_of_advice() -> None:
    rows = {int(status) for status in re.findall(r"^\| ([0-9]) \|", PAGE, re.MULTILINE)}
    assert rows == set(EXIT_MEANING)


def test_its_configuration_is_valid_and_every_key_it_names_exists() -> None:
    assert parse(JobConfig, yaml.safe_load(night_yaml())).report.keep == 30
    sections = {name: set(values) for name, values in JobConfig().model_dump().items()}
    named = re.findall(rf"\b({'|'.join(sections)})\.([a-z_]+)\b(?![./(])", re.sub(r"\S*/\S*", "", PAGE))
    assert len(named) > 5
    assert [f"{section}.{key}" for section, key in named if key not in sections[section]] == []


def test_its_files_exist() -> None:
    named = set(re.findall(r"\b((?:infra|configs|jobs|tests)/[\w./-]*\w)", PAGE))
    named |= {f"docs/{name}" for name in re.findall(r"\]\((\w+\.md)\)", PAGE)}
    assert len(named) > 12
    assert [name for name in sorted(named) if not (REPO / name).exists()] == []


def test_its_commands_are_understood() -> None:
    """All that are not run are here; `tests/docs/test_operations.py` runs the others."""
    jobs = [shlex.split(command)[1:] for command in commands() if command.startswith("python ")]
    assert len(jobs) > 12
    for job, *arguments in jobs:
        assert import_module(job.removesuffix(".py").replace("/", ".")).parse(arguments)
    others = {command.split()[0] for command in commands()} - {"python", "export", "bash", "ray", "grep"}
    assert others == set(NOT_RUN)
    for command in commands():
        if command.startswith("make "):
            assert f"\n{command.removeprefix('make ')}:" in (REPO / "Makefile").read_text(encoding="utf-8")
        if command.startswith("systemctl ") and command != "systemctl --failed":
            units = [word for word in command.split()[2:] if word != "--now"]
            assert units
            assert all((REPO / "infra" / "onprem" / "systemd" / unit).exists() for unit in units)


def test_no_command_hides_in_the_text() -> None:
    """What is run is what stands in blocks."""
    text = re.sub(r"^```.*?^```", "", PAGE, flags=re.MULTILINE | re.DOTALL)
    programs = "|".join(["python", "ray", "bash", "grep", "kubectl", "docker", "curl", "ssh", *NOT_RUN])
    shown = re.findall(rf"`((?:{programs}) [^`]+)`", text)
    assert shown == ["ray job logs -f"]  # whose lines are spoken of; it needs a submitted job


def test_its_webhook_message_has_the_keys_of_a_real_one() -> None:
    (block,) = re.findall(r"```json\n(.+?)```", PAGE, re.DOTALL)
    example = yaml.safe_load(block)
    assert example.keys() == notice("run", "in", "out", Outcome(3, "said")).keys()
    for status in EXIT_MEANING:
        assert f"`{notice('run', 'in', 'out', Outcome(status, 'said'))['status']}`" in PAGE
    assert TOKEN_VARIABLE in PAGE
