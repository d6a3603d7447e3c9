"""Two servers without Kubernetes: the token, the units and their timers, the cron line."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.paths import REPO

ONPREM = REPO / "infra" / "onprem"
UNITS = sorted((ONPREM / "systemd").iterdir())
SERVICES = [unit for unit in UNITS if unit.suffix == ".service"]


def settings(path: Path) -> dict[str, str]:
    """The variables of an environment file or the last value of each key of a unit."""
    return dict(re.findall(r"^(\w+)=(.*)$", path.read_text(encoding="utf-8"), re.MULTILINE))


def test_the_token_is_long_secret_and_kept(tmp_path: Path) -> None:
    token = tmp_path / "new folder" / "token"
    script = ["bash", str(ONPREM / "make_token.sh"), str(token)]
    subprocess.run(script, check=True, capture_output=True)
    assert re.fullmatch(r"[0-9a-f]{64}", token.read_text())
    assert token.stat().st_mode & 0o777 == 0o600
    before = token.read_text()
    token.chmod(0o644)
    subprocess.run(script, check=True, capture_output=True)
    assert token.read_text() == before
    assert token.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """Programs and folders that an installation has are made below a folder of the test."""
    home = tmp_path / "opt"
    (home / ".venv" / "bin").mkdir(parents=True)
    for program in ("ray", "python"):
        (home / ".venv" / "bin" / program).touch(mode=0o755)
    for unit in UNITS:
        text = unit.read_text(encoding="utf-8").replace("/opt/fiat-color", str(home))
        (tmp_path / unit.name).write_text(text)
    paths = [tmp_path / unit.name for unit in UNITS]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *paths], capture_output=True, text=True, check=False
    )
    messages = [line for line in (done.stdout + done.stderr).splitlines() if "fiat-color" in line]
    assert messages == []
    assert done.returncode == 0, done.stderr


def test_each_timer_has_its_service() -> None:
    timers = [unit for unit in UNITS if unit.suffix == ".timer"]
    assert len(timers) == 3
    assert [timer for timer in timers if not timer.with_suffix(".service").exists()] == []


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_units_read_what_the_environment_file_sets(unit: Path) -> None:
    text = unit.read_text(encoding="utf-8")
    variables = settings(ONPREM / "fiat-color.env")
    assert set(re.findall(r"\$\{(\w+)\}", text)) <= set(variables)
    assert "EnvironmentFile=/etc/fiat-color/fiat-color.env" in text
    assert "User=fiat" in text
    assert variables["RAY_AUTH_MODE"] == "token"
    assert variables["RAY_AUTH_TOKEN_PATH"] == "/etc/fiat-color/ray-token"


def test_the_jobs_api_stays_on_loopback() -> None:
    assert (
        "--dashboard-host=127.0.0.1"
        in settings(ONPREM / "systemd" / "fiat-color-ray-head.service")["ExecStart"]
    )


def test_what_the_units_and_cron_run_exists() -> None:
    texts = [
        path.read_text(encoding="utf-8")
        for path in [*UNITS, ONPREM / "fiat-color.cron", ONPREM / "fiat-color.env"]
    ]
    named = {name for text in texts for name in re.findall(r"\b((?:jobs|configs)/[\w/-]+\.\w+)", text)}
    assert {"jobs/colorize_bucket.py", "jobs/verify.py", "jobs/retrain.py"} <= named
    assert [name for name in sorted(named) if not (REPO / name).is_file()] == []


@pytest.mark.parametrize(("status", "restarts"), [("1", True), ("2", False), ("3", False), ("4", False)])
def test_only_a_run_that_did_not_finish_is_tried_again(status: str, restarts: bool) -> None:
    unit = settings(ONPREM / "systemd" / "fiat-color.service")
    assert unit["Restart"] == "on-failure"
    assert (status not in unit["RestartPreventExitStatus"].split()) is restarts


RETRAINING = "s3://archive-color/training"
CRON = [
    "colorize_bucket.py --input s3://archive/1920s --output s3://archive-color/1920s --config {CONFIG}",
    f"retrain.py --config configs/retrain/champion.yaml --registry {RETRAINING}/models/photographs "
    f"--photos {RETRAINING}/new --held-out {RETRAINING}/held-out --output {RETRAINING}/retraining",
]


@pytest.mark.parametrize(("number", "expected"), enumerate(CRON), ids=["colorize", "retrain"])
def test_a_cron_line_runs_one_job_with_the_settings_and_keeps_its_exit_status(
    tmp_path: Path, number: int, expected: str
) -> None:
    """The line itself, in folders of the test, with a job that says what it got."""
    cron = (ONPREM / "fiat-color.cron").read_text(encoding="utf-8")
    lines = [line for line in cron.splitlines() if re.match(r"\d", line)]
    assert len(lines) == len(CRON)
    command = lines[number].split("  fiat  ", 1)[1]
    python = tmp_path / "opt" / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$RAY_AUTH_MODE ${RAY_ADDRESS-none} $@"\nexit 3\n')
    python.chmod(0o755)
    for installed, here in {
        "/opt/fiat-color": tmp_path / "opt",
        "/etc/fiat-color": ONPREM,
        "/var/lib/fiat-color": tmp_path,
    }.items():
        command = command.replace(installed, str(here))
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    job = expected.format(**settings(ONPREM / "fiat-color.env"))
    assert done.stdout.strip() == f"token none jobs/{job}"
