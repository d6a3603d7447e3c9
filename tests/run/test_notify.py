"""The webhook, with a real receiver on loopback: delivered, retried, and never decisive for a run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from pipeline.config.job import JobConfig, NotifyConfig, job_digest
from pipeline.config.loading import load
from pipeline.errors import ConfigError
from pipeline.run import notify
from pipeline.run.notify import Outcome, deliver, notice
from pipeline.run.start import ColorizeRequest, run_job
from tests.support.servers import free_port


class Receiver(ThreadingHTTPServer):
    """Answers with the statuses in `answers`, then 204; keeps headers and body of each request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[int] = []
        self.seen: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.config = NotifyConfig(webhook=f"http://127.0.0.1:{self.server_port}/secret-path", seconds=2.0)


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((dict(self.headers), body))
        self.send_response(self.server.answers.pop(0) if self.server.answers else 204)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pauses between two tries."""
    monkeypatch.setattr(notify, "_BACKOFF_SECONDS", 0)


@pytest.fixture
def receiver(at_once: None) -> Iterator[Receiver]:
    server = Receiver()
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


MESSAGE = notice("run-1", "in", "out", Outcome(1, "the disk is full"))


@pytest.mark.server
def test_it_is_delivered_with_the_token_of_the_environment(receiver, monkeypatch, capsys):
    monkeypatch.setenv("FIAT_COLOR_WEBHOOK_TOKEN", "hush\n")
    assert deliver(receiver.config, MESSAGE)
    ((headers, body),) = receiver.seen
    assert body == MESSAGE
    assert (body["status"], body["exit_status"], body["message"]) == ("unfinished", 1, "the disk is full")
    assert headers["Authorization"] == "Bearer hush"
    assert headers["Content-Type"] == "application/json"
    assert capsys.readouterr().err == ""


@pytest.mark.server
def test_it_is_tried_again_after_a_500(receiver):
    receiver.answers = [500, 503]
    assert deliver(receiver.config, MESSAGE)
    assert [body for _, body in receiver.seen] == [MESSAGE] * 3


@pytest.mark.server
@pytest.mark.parametrize(("answers", "tries"), [([500] * 9, 4), ([404], 1), ([302], 1)])
def test_what_the_receiver_refuses_is_one_line_without_the_path(receiver, capsys, answers, tries):
    receiver.answers = list(answers)
    assert not deliver(receiver.config, MESSAGE)
    assert len(receiver.seen) == tries
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert f"127.0.0.1 was not notified of the end of the run: it answered {answers[0]}" in message
    assert "secret" not in message


@pytest.mark.server
def test_the_job_tells_of_its_end_and_of_its_failure(receiver, tmp_path):
    (tmp_path / "in").mkdir()
    config = JobConfig(notify=receiver.config)
    assert run_job(ColorizeRequest(str(tmp_path / "in"), str(tmp_path / "out"), config, dry_run=True)) == 0
    assert run_job(ColorizeRequest(str(tmp_path / "in"), str(tmp_path / "out"), config)) == 0
    with pytest.raises(ConfigError):
        run_job(ColorizeRequest(str(tmp_path / "gone"), str(tmp_path / "out"), config))
    (_, done), (_, refused) = receiver.seen
    assert (done["status"], done["exit_status"], done["summary"]) == ("done", 0, None)
    assert (refused["status"], refused["exit_status"]) == ("refused", 2)
    assert refused["message"].startswith("there is no folder")


def test_a_dead_receiver_changes_no_exit_status(at_once, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    config = JobConfig(notify=NotifyConfig(webhook=f"http://127.0.0.1:{free_port()}/secret"))
    assert run_job(ColorizeRequest(str(tmp_path / "in"), str(tmp_path / "out"), config)) == 0
    message = capsys.readouterr().err
    assert message.startswith(
        "warning: the webhook at 127.0.0.1 was not notified of the end of the run: Conn"
    )
    assert "secret" not in message


def test_only_http_urls_are_taken() -> None:
    with pytest.raises(ConfigError, match=r"notify\.webhook"):
        load(JobConfig, None, ["notify.webhook=file:///etc/passwd"])


def test_how_a_run_is_watched_makes_no_new_work() -> None:
    watched = ["notify.webhook=http://a/b", "run.max_failed=0.1", "report.keep=3", "report.price_core_hour=1"]
    assert job_digest(load(JobConfig, None, watched), "w") == job_digest(JobConfig(), "w")
