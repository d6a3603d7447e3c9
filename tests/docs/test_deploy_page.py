"""docs/deploy.md matches the repository: commands that need no server are run, or parsed by their program."""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from pipeline.config.job import JobConfig
from pipeline.config.loading import load
from tests.infra.test_kuberay import SECRETS, job_module
from tests.support.paths import REPO

PAGE = (REPO / "docs" / "deploy.md").read_text(encoding="utf-8")
COMMANDS = [
    re.sub(r"\s+# .*", "", line)
    for block in re.findall(r"^```\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines()
]


def test_every_file_and_folder_it_names_exists() -> None:
    named = set(re.findall(r"\b((?:infra|tests|configs|jobs)/[\w./-]*\w)", PAGE.replace("/NAME/", "/aws/")))
    named |= {f"infra/kuberay/{name}" for name in re.findall(r"`(components/[\w-]+)`", PAGE)}
    assert len(named) > 12
    assert [name for name in sorted(named) if not (REPO / name).exists()] == []


def test_every_folder_of_infra_is_on_the_page() -> None:
    folders = [path.name for path in (REPO / "infra").iterdir() if path.is_dir()]
    assert [name for name in folders if f"infra/{name}" not in PAGE] == []


def test_every_colouring_command_is_one_that_the_job_takes() -> None:
    """Variables and FILL-IN stand for themselves: what counts is that options and settings exist."""
    results = [re.search(r"jobs/colorize_bucket\.py ([^']*)", command) for command in COMMANDS]
    lines = [shlex.split(match[1]) for match in results if match]
    assert len(lines) >= 4
    for words in lines:
        args: argparse.Namespace = job_module("colorize_bucket").parse(words)
        load(JobConfig, None, args.overrides)
    for setting in re.findall(r"--set (\w+\.\w+=\w+)", PAGE):
        load(JobConfig, None, [setting])


def test_the_units_it_enables_exist() -> None:
    enabled = {word for c in COMMANDS if c.startswith("systemctl enable") for word in c.split()[3:]}
    assert len(enabled) == 4
    assert enabled <= {path.name for path in (REPO / "infra" / "onprem" / "systemd").iterdir()}


def test_the_kubernetes_objects_it_names_exist() -> None:
    base = REPO / "infra" / "kuberay" / "base"
    crons = {m["metadata"]["name"] for m in yaml.safe_load_all((base / "cronjobs.yaml").read_text())}
    assert set(re.findall(r"--from=cronjob/([\w-]+)", PAGE)) <= crons
    assert set(re.findall(r"create secret generic ([\w-]+)", PAGE)) == SECRETS
    assert "--from-literal=auth_token=" in PAGE


def test_its_token_command_makes_one(tmp_path: Path) -> None:
    commands = [command for command in COMMANDS if "make_token.sh" in command]
    assert len(commands) == 2
    for i, command in enumerate(commands):
        words = [*shlex.split(command)[:-1], str(tmp_path / f"token{i}")]
        subprocess.run(words, cwd=REPO, check=True, capture_output=True)
        assert (tmp_path / f"token{i}").stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl, which has kustomize, is not installed")
def test_its_kustomize_command_builds() -> None:
    (command,) = [command for command in COMMANDS if command.startswith("kubectl kustomize")]
    subprocess.run(shlex.split(command), cwd=REPO, check=True, capture_output=True)
