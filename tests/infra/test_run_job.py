"""What a CronJob's pod runs, as a process, against an HTTP server that answers as the Kubernetes API does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import REPO

pytestmark = pytest.mark.server

SCRIPT = REPO / "infra" / "kuberay" / "base" / "run_job.py"
PATTERN = {
    "apiVersion": "ray.io/v1",
    "kind": "RayJob",
    "metadata": {"name": "colorize", "namespace": "fiat-color", "uid": "1", "resourceVersion": "7"},
    "spec": {"suspend": True, "entrypoint": "python jobs/colorize_bucket.py", "backoffLimit": 1},
    "status": {"jobDeploymentStatus": "Suspended"},
}


class Api(BaseHTTPRequestHandler):
    """GET of the pattern, POST of the job, then one state after the other; a number is an HTTP error."""

    server: Server

    def do_GET(self) -> None:
        if self.path.endswith("/rayjobs/colorize"):
            self.answer(200, PATTERN)
            return
        states = self.server.states
        state = states.pop(0) if len(states) > 1 else states[0]
        self.answer(state, {}) if isinstance(state, int) else self.answer(200, {"status": state})

    def do_POST(self) -> None:
        self.server.made.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.answer(201, {"metadata": {"name": "colorize-x7k2p"}})

    def answer(self, status: int, body: dict[str, Any]) -> None:
        self.server.tokens.add(self.headers["Authorization"])
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Api)
        self.states: list[Any] = []
        self.made: list[dict[str, Any]] = []
        self.tokens: set[str] = set()


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def run(server: Server, account: Path, states: list[Any]) -> subprocess.CompletedProcess[str]:
    server.states = states
    (account / "token").write_text("the-pod's-token\n")
    (account / "namespace").write_text("fiat-color")
    env = {**os.environ, "KUBERNETES_API": f"http://127.0.0.1:{server.server_port}"}
    env |= {"SERVICE_ACCOUNT": str(account), "POLL_SECONDS": "0.01"}
    return subprocess.run(
        [sys.executable, SCRIPT, "colorize"], capture_output=True, text=True, env=env, timeout=60, check=False
    )


RUNNING: dict[str, str] = {"jobDeploymentStatus": "Running"}


def test_it_makes_a_job_that_starts_and_waits_for_its_end(server: Server, tmp_path: Path) -> None:
    ended = {"jobDeploymentStatus": "Complete", "jobStatus": "SUCCEEDED"}
    done = run(server, tmp_path, [{}, RUNNING, RUNNING, 503, RUNNING, ended])
    assert done.returncode == 0, done.stderr
    assert [line.split(": ")[1] for line in done.stdout.splitlines()][:2] == ["New", "Running"]
    (output,) = server.made
    assert output["spec"] == {**PATTERN["spec"], "suspend": False}  # type: ignore[dict-item]
    assert output["metadata"] == {"generateName": "colorize-", "labels": {"fiat-color/of": "colorize"}}
    assert "status" not in output
    assert server.tokens == {"Bearer the-pod's-token"}


@pytest.mark.parametrize(
    ("last", "said"),
    [
        ({"jobDeploymentStatus": "Failed", "jobStatus": "FAILED", "reason": "AppFailed"}, "FAILED AppFailed"),
        ({"jobDeploymentStatus": "Complete", "jobStatus": "STOPPED"}, "STOPPED"),
        (404, "it was deleted"),
    ],
)
def test_a_job_that_does_not_succeed_is_one_line(
    server: Server, tmp_path: Path, last: Any, said: str
) -> None:
    done = run(server, tmp_path, [RUNNING, last])
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.startswith("error: colorize-x7k2p did not succeed")
    assert done.stderr.count("\n") == 1


def test_a_job_that_cannot_be_made_is_one_line(server: Server, tmp_path: Path) -> None:
    server.shutdown()
    server.server_close()
    done = run(server, tmp_path, [RUNNING])
    assert done.returncode == 2
    assert done.stderr.startswith("error: no RayJob could be made of colorize")
    assert done.stderr.count("\n") == 1
