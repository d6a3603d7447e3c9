"""Secrets that a user gives the job never appear in what it prints, logs or writes, however it ends."""

from __future__ import annotations

import json
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from pipeline.config.job import JobConfig
from pipeline.config.loading import effective_yaml, load
from pipeline.errors import ConfigError, StorageError
from pipeline.run import notify
from pipeline.run.notify import Outcome, notice
from pipeline.storage import open_store
from pipeline.storage.s3_client import client_of
from tests.support.job_runner import encoded, photograph, run
from tests.support.servers import free_port

CANARY = "canary-7f3a9c"
CONFIG = f"""
notify:
  webhook: https://hooks.example.invalid/services/{CANARY}-path?key={CANARY}-query
  seconds: 1
model: {{side: 64}}
"""


@pytest.fixture
def places(tmp_path: Path, monkeypatch) -> Path:
    """Two photographs, a configuration, and an environment whose secrets are canaries."""
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "FIAT_COLOR_WEBHOOK_TOKEN", "RAY_AUTH_TOKEN"):
        monkeypatch.setenv(name, f"{CANARY}-{name.lower()}-0123456789abcdef")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
    (tmp_path / "in").mkdir()
    for number in range(2):
        (tmp_path / "in" / f"{number}.jpg").write_bytes(encoded(photograph(number)))
    (tmp_path / "job.yaml").write_text(CONFIG)
    return tmp_path


def called(in_process, places: Path, log_format: str, *more: object) -> CompletedProcess[str]:
    """The job in this process, or, for JSON, which takes the descriptors over, in one of its own."""
    words = ("--input", places / "in", "--output", places / "out", "--config", places / "job.yaml", *more)
    if log_format == "text":
        return in_process("colorize_bucket", *words)
    return run(*words, "--log-format", log_format)


def test_a_dry_run_prints_none(in_process, places):
    done = called(in_process, places, "text", "--dry-run", "--show-config")
    assert done.returncode == 0, done.stderr
    assert "https://hooks.example.invalid/***" in done.stdout + done.stderr
    assert CANARY not in done.stdout + done.stderr


@pytest.mark.parametrize("log_format", ["text", pytest.param("json", marks=pytest.mark.job)])
def test_a_run_that_fails_prints_and_writes_none(in_process, places, log_format, monkeypatch):
    """It has written its plan and its configuration, finds no Ray, and tells a webhook that is not there."""
    monkeypatch.setattr(notify, "_BACKOFF_SECONDS", 0)
    done = called(in_process, places, log_format)
    assert done.returncode in (1, 2), done.stdout
    assert "the webhook at hooks.example.invalid was not notified" in done.stderr
    assert CANARY not in done.stdout + done.stderr
    written = [path for path in (places / "out").rglob("*") if path.is_file()]
    assert {path.name for path in written} >= {"config.yaml", "shards.parquet"}
    assert not [path for path in written if CANARY.encode() in path.read_bytes()]


WRONG = {
    "keys in a bucket's URI": ("--input", f"s3://AKIA:{CANARY}@bucket/in"),
    "keys in another URI": ("--input", f"https://me:{CANARY}@archive.example/in"),
    "a password in an endpoint": ("--set", f"storage.endpoint=http://me:{CANARY}@127.0.0.1:1"),
    "a webhook that is none": ("--set", f"notify.webhook=hooks.example/{CANARY}"),
    "weights by a signed link": ("--weights", f"https://host/w.safetensors?X-Amz-Signature={CANARY}"),
    "a registry with a password": ("--weights", f"registry:https://me:{CANARY}@host/registry"),
}


@pytest.mark.parametrize("arguments", WRONG.values(), ids=WRONG)
def test_a_mistake_is_told_without_the_secret_in_it(in_process, places, arguments):
    done = called(in_process, places, "text", *arguments, "--dry-run")
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    assert CANARY not in done.stdout + done.stderr


def test_a_configuration_that_is_no_yaml_is_told_without_its_lines(tmp_path):
    (tmp_path / "job.yaml").write_text(f"notify:\n  webhook: [{CANARY}\nplan: }}\n")
    with pytest.raises(ConfigError, match="is not YAML: line 3: ") as error:
        load(JobConfig, str(tmp_path / "job.yaml"))
    assert CANARY not in str(error.value)


def test_an_endpoint_of_the_environment_is_told_without_its_password(places, monkeypatch, no_storage):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://me:{CANARY}@127.0.0.1:{free_port()}")
    config = no_storage.model_copy(update={"read_seconds": 7.0})
    with pytest.raises(ConfigError, match="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY") as error:
        client_of(config)
    assert CANARY not in str(error.value)


def test_a_server_that_is_not_there_is_told_without_a_secret(places, no_storage):
    config = no_storage.model_copy(update={"endpoint": f"http://127.0.0.1:{free_port()}", "retries": 0})
    with pytest.raises(StorageError) as error:
        open_store("s3://bucket/in", config).check_readable()
    assert CANARY not in str(error.value)


def test_a_webhook_gets_no_secret_of_another_place():
    told = notice("run", f"s3://AKIA:{CANARY}@bucket/in", "out", Outcome(2, "refused"))
    assert CANARY not in json.dumps(told)


def test_the_configuration_that_a_run_keeps_asks_for_its_webhook(places):
    config = load(JobConfig, str(places / "job.yaml"))
    assert CANARY in str(config.notify.webhook)  # which is what is called
    (places / "kept.yaml").write_text(effective_yaml(config))
    with pytest.raises(
        ConfigError,
        match=r"'notify.webhook' has the value \*\*\*: this is only the host: a run does not save the rest",
    ):
        load(JobConfig, str(places / "kept.yaml"))
    again = load(JobConfig, str(places / "kept.yaml"), [f"notify.webhook={config.notify.webhook}"])
    assert again == config
    plain = load(JobConfig, None, ["notify.webhook=https://hooks.example.invalid"])
    assert json.loads(plain.model_dump_json())["notify"]["webhook"] == "https://hooks.example.invalid"
