"""An operator follows docs/operations.md: every command, in order, on a Ray head and a real S3 server.

It plays a whole cycle: coloured by one champion, retrained, promoted, new work by the next champion, chosen
images again, rolled back.
"""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml

from pipeline.models.weights_registry import WeightsRegistry
from tests.retraining.test_promote import network, photograph
from tests.support.forked_workers import forked_workers
from tests.support.job_runner import encoded, fill, ledger
from tests.support.job_runner import photograph as gray_photograph
from tests.support.operations_page import NOT_RUN, Operator, commands, night_yaml, ray_head
from tests.support.paths import REPO
from tests.support.servers import S3Server, free_port

COLORIZE = "python jobs/colorize_bucket.py"
NIGHT = f"{COLORIZE} --input s3://archive/1920s --output s3://archive-color/1920s --config night.yaml"
SMALL_CYCLE = {
    "retrain": {"least_new": 4},
    "photos": {"val_permille": 0},
    "data": {"crop": 64, "augment": {"probability": 0}},
    "loss": {"alpha": 0},
    "optim": {"rate": 0.002, "warmup": 0, "ema": 0.5, "weight_decay": 0},
    "train": {"steps": 12, "batch": 4, "threads": 1, "precision": "fp32", "pictures": 0, "keep": 1},
    "evaluate": {"side": 48, "workers": 1},
}
BROKEN = encoded(gray_photograph(9))[:300]


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[str]]]:
    """A receiver on loopback: its URL, and the statuses that it was told."""
    told: list[str] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["status"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", told
    server.shutdown()
    thread.join()
    server.server_close()


class Archive:
    """Buckets with scans, colour photographs and held-out ones; files of the operator's own."""

    def __init__(self, server: S3Server, folder: Path, hook: str) -> None:
        self.server, self.folder = server, folder
        self.root = f"s3://{server.bucket()}"
        self.scans, self.colored = f"{self.root}/scans/1920s", f"{self.root}/color/1920s"
        self.catalog = WeightsRegistry(f"{self.root}/models/faces", server.storage_config)
        self.substitutes = {
            "s3://archive/1920s": self.scans,
            "s3://archive-color/1920s": self.colored,
            "registry:REG/NAME": f"registry:{self.root}/models/faces",
            "REG/NAME": f"{self.root}/models/faces",
            "OTHERS": f"{self.root}/held-out",
            "NEW": f"{self.root}/new",
            "RETRAINING": f"{self.root}/retraining",
            "faithful": network(folder / "first.safetensors", (4.0, 6.0)),
            "configs/retrain/champion.yaml": str(folder / "retrain.yaml"),
            "https://hooks.example.org/fiat-color": hook,
            "https://s3.example.org": server.endpoint,
            "6379": str(free_port()),
            "~/.ray/token": str(folder / "secret" / "token"),
        }
        (folder / "retrain.yaml").write_text(yaml.safe_dump(SMALL_CYCLE))
        for name, seeds in {"held-out": range(30), "new": range(100, 116)}.items():
            self.put(
                f"{self.root}/{name}", {f"{seed}.png": encoded(photograph(seed), "PNG") for seed in seeds}
            )
        names = ("street/a.jpg", "street/b.jpg", "yard/c.jpg")
        self.scan({name: encoded(gray_photograph(seed)) for seed, name in enumerate(names)})
        self.scan({"yard/z.jpg": BROKEN})

    def put(self, uri: str, files: dict[str, bytes]) -> None:
        fill(uri, files, self.server.storage_config)

    def scan(self, files: dict[str, bytes]) -> None:
        self.put(self.scans, files)

    def made_by(self) -> dict[str, int]:
        """The registry's entry whose weights each image was coloured with last, by key."""
        entry = {result.sha256: result.number for result in reversed(self.catalog.history())}
        rows = sorted(ledger(self.colored, self.server.storage_config), key=lambda row: row["finished_at"])
        return {row["key"]: entry[row["weights_digest"]] for row in rows if row["status"] == "colorized"}


def between(archive: Archive, command: str, times: int) -> None:
    """What happens in the archive before a command that has been typed so many times."""
    if (command, times) == (NIGHT, 1):
        mended, new = (encoded(gray_photograph(seed)) for seed in (9, 10))
        archive.scan({"yard/z.jpg": mended, "yard/new.jpg": new})


def expected(command: str, times: int) -> int:
    """The exit status: of four scans one is broken until it is mended, which is more than 5 % of a run."""
    broken = (command, times) == (NIGHT, 0) or "plan.retry_failed=true" in command
    return 4 if broken else 0


@pytest.mark.first
@pytest.mark.ray
@pytest.mark.timeout(1800)  # fifteen jobs, eight of them on Ray, on a loaded machine
def test_an_operator_follows_the_page(
    s3_moto: S3Server, tmp_path: Path, webhook: tuple[str, list[str]]
) -> None:
    hook, told = webhook
    archive = Archive(s3_moto, tmp_path, hook)
    region = {"AWS_ENDPOINT_URL": s3_moto.endpoint, "AWS_REGION": "us-east-1", "RAY_USAGE_STATS_ENABLED": "0"}
    ours = {"PYTHONPATH": str(REPO)} | forked_workers()
    operator = Operator(tmp_path, archive.substitutes, os.environ | region | ours)
    night = yaml.safe_load(operator.here(night_yaml()))
    night["run"] |= {"workers": 1}
    night["model"] |= {"side": 64}
    (tmp_path / "night.yaml").write_text(yaml.safe_dump(night))
    message: dict[tuple[str, int], str] = {}
    times: Counter[str] = Counter()
    with ExitStack() as until_the_end:
        for command in commands():
            program = command.split()[0]
            if program in NOT_RUN:
                continue
            if program == "export":
                operator.export(command)
                continue
            if program == "ray":
                head = ray_head(operator.here(command), operator.environment, tmp_path / "head.log")
                until_the_end.enter_context(head)
                continue
            if times[command] and "--dry-run" in command:  # it stands on the page more than once
                continue
            between(archive, command, times[command])
            done = operator.type(command)
            print(f"$ {command}\n{done.stdout}{done.stderr}")
            assert done.returncode == expected(command, times[command]), done.stderr
            message[command, times[command]] = done.stdout
            times[command] += 1
        again = operator.type(f"{NIGHT} --recolor changed-model --dry-run").stdout
    check_what_was_said(message)
    made_by = archive.made_by()
    assert made_by == {
        "street/a.jpg": 2,
        "street/b.jpg": 2,
        "yard/c.jpg": 1,
        "yard/new.jpg": 2,
        "yard/z.jpg": 2,
    }
    assert [entry.reason for entry in archive.catalog.history()] == ["first", "promotion", "rollback"]
    assert "to do    4 files" in again  # what the withdrawn champion made
    assert told == ["done", "too_many_failed", "too_many_failed", "done", "done"]


def check_what_was_said(said: dict[tuple[str, int], str]) -> None:
    """Of what each command printed, what an operator reads."""

    def of(part: str, time: int = 0) -> str:
        (result,) = (
            text for (command, number), text in said.items() if command.endswith(part) and number == time
        )
        return result

    assert "to do    4 files" in of("night.yaml --dry-run")
    assert "Coloured 2 of 2 files" in of("--limit 2")
    assert of("grep ,failed, ledger.csv").startswith("yard/z.jpg,")
    assert "would begin cycle 1 with 16 new files of 16" in of("champion.yaml --dry-run")
    assert "promoted as entry 2" in of("champion.yaml")
    assert "3 by another model (--recolor changed-model does them again)" in of("night.yaml", 1)
    chosen = of("""'plan.include=["street/*"]' --dry-run""")
    assert "to do    2 files" in chosen
    assert "2 coloured before by another model" in chosen
    assert "000002*" in of("--history")
    assert "has the weights of entry 1" in of("--rollback")
