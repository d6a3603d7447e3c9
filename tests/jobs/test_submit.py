"""`fiat-color submit` ends with the status of the command that it submitted; `ray job submit` only has 1."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.forked_commands import run_forked
from tests.support.forked_workers import forked_workers
from tests.support.job_runner import FAST, encoded, fill, ledger, photograph
from tests.support.paths import REPO
from tests.support.ray_head import TOKEN, ray_head
from tests.support.servers import free_port


class Cluster:
    """A head with a dashboard, on which Fiat Color is installed."""

    def __init__(self, url: str, environment: dict[str, str]) -> None:
        self.url, self.environment = url, environment

    def submit(self, *words: object) -> subprocess.CompletedProcess[str]:
        return run_forked(self.command(*words), self.environment, cwd=REPO)

    def command(self, *words: object) -> list[str]:
        return ["-m", "fiat_color", "submit", "--address", self.url, *map(str, words)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder, port = tmp_path_factory.mktemp("head"), free_port()
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    ports = [f"--{name}={free_port()}" for name in ("dashboard-agent-listen-port", "metrics-export-port")]
    dashboard = ["--include-dashboard=true", f"--dashboard-port={port}", *ports]
    with ray_head(folder, *dashboard, env={"PATH": path} | forked_workers()):
        environment = os.environ | TOKEN | {"PYTHONPATH": str(REPO)}
        yield Cluster(f"http://127.0.0.1:{port}", environment)


@pytest.mark.ray
@pytest.mark.timeout(900)
def test_the_status_is_that_of_the_run(cluster: Cluster, tmp_path: Path) -> None:
    scans, colored = tmp_path / "scans", tmp_path / "colored"
    fill(str(scans), {"a.jpg": encoded(photograph(1)), "broken.jpg": encoded(photograph(3))[:300]})
    colorize = ["--", "colorize", scans, colored, *FAST]
    started = cluster.submit("--no-wait", *colorize)
    assert started.returncode == 0
    failed = cluster.submit("--attach", started.stdout.strip())
    assert failed.returncode == 3, failed.stdout + failed.stderr
    assert "Coloured 1 of 2" in failed.stdout
    done = cluster.submit("--", "export", colored, "--format", "csv", "--to", tmp_path / "rows.csv")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "rows.csv").exists()
    unusable = cluster.submit("--", "colorize", tmp_path / "nowhere", colored)
    assert unusable.returncode == 2
    assert "nowhere" in unusable.stdout  # what the job printed there
    assert cluster.submit("--attach", "raysubmit_none").returncode == 2

    stranger = subprocess.run(
        [sys.executable, *cluster.command(*colorize)], env=cluster.environment | {"RAY_AUTH_TOKEN": "0" * 64},
        cwd=REPO, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert (stranger.returncode, stranger.stderr.count("\n")) == (2, 1), stranger.stderr


@pytest.mark.ray
def test_ray_job_submit_with_the_token_in_a_file(cluster: Cluster, tmp_path: Path) -> None:
    """Ray's own command, as the README of a cluster has it, with the checkout sent along."""
    token = tmp_path / "token"
    token.write_text(TOKEN["RAY_AUTH_TOKEN"])
    token.chmod(0o600)
    programs = Path(sys.executable).parent
    fill(str(tmp_path / "in"), {f"{i}.jpg": encoded(photograph(i)) for i in range(4)})
    places = ["--input", tmp_path / "in", "--output", tmp_path / "out"]
    entry = ["python", "jobs/colorize_bucket.py", *places, "--log-format=json", *FAST]
    nobody = {name: value for name, value in cluster.environment.items() if not name.startswith("RAY_AUTH")}
    nobody["RAY_API_SERVER_ADDRESS"] = cluster.url

    def submit(**auth: str) -> subprocess.CompletedProcess[str]:
        line = [str(programs / "ray"), "job", "submit", "--working-dir", ".", "--", *map(str, entry)]
        return subprocess.run(
            line, cwd=REPO, env=nobody | auth, capture_output=True, text=True, check=False, timeout=200
        )

    assert submit(RAY_AUTH_MODE="disabled").returncode != 0
    assert not (tmp_path / "out").exists()
    own = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    done, deadline = submit(**own), time.monotonic() + 90
    while "No available agent" in done.stdout + done.stderr and time.monotonic() < deadline:
        time.sleep(2)  # the agent starts after the head answers; Ray says to try again
        done = submit(**own)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [row["status"] for row in ledger(str(tmp_path / "out"))] == ["colorized"] * 4
    # what `ray job logs -f` shows: whole lines, each an object, all of one run
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [line["event"] for line in lines if line["event"] in ("plan", "summary")] == ["plan", "summary"]
    assert len({line["run"] for line in lines}) == 1
    (progress,) = [line for line in lines if line["event"] == "progress" and line["done"] == line["total"]]
    assert progress["message"].startswith("4 of 4 images")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give a command after --"),
        (["--", "colour", "a", "b"], "no command colour"),
        (["--", "submit", "--", "verify", "b"], "no command submit"),
        (["--", "colorize", "a"], "the following arguments are required: --output"),
        (["--attach", "x", "--", "verify", "b"], "or --attach ID"),
        (["--set", "run.workers=2", "--", "verify", "b"], "put it after --"),
    ],
)
def test_a_mistake_costs_a_line_here(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from jobs.submit import main

    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.ray
def test_where_no_head_answers_it_is_one_line() -> None:
    nobody = Cluster(f"http://127.0.0.1:{free_port()}", dict(os.environ) | {"PYTHONPATH": str(REPO)})
    left = nobody.submit("--", "verify", "out")
    assert (left.returncode, left.stderr.count("\n")) == (1, 1), left.stderr
    assert "no Ray head answers" in left.stderr
