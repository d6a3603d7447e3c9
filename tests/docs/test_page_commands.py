"""Every command on every page is run, or parsed by its program. The pages for newcomers are followed here."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import HTTPCookieProcessor, build_opener

import pytest

from pipeline.commands import submit
from tests.support.forked_commands import run_forked
from tests.support.job_runner import encoded, fill, ledger, photograph, shared_head
from tests.support.page_commands import OTHERS, PAGES, READ, blocks, commands, name_of
from tests.support.paths import REPO

FOLLOWED = ["docs/archivist.md", "docs/configuration.md", "docs/troubleshooting.md", "docs/weights.md"]
"""Pages whose commands are typed one after the other."""
SMALL = " --set model.side=64 --set run.workers=1"


def page(name: str) -> str:
    return (REPO / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_every_command_is_of_a_program_that_is_checked(path: Path) -> None:
    """A block that holds no commands names its language: text, yaml, json."""
    programs = {command.split()[0] for command in commands(path.read_text(encoding="utf-8"))}
    assert programs - READ.keys() - OTHERS.keys() == set()


def test_the_list_of_other_programs_has_none_that_no_page_shows() -> None:
    shown = {command.split()[0] for path in PAGES for command in commands(path.read_text(encoding="utf-8"))}
    assert OTHERS.keys() - shown == set()
    named = {name for reason in OTHERS.values() for name in re.findall(r"tests/[\w/]+\.py", reason)}
    assert [name for name in sorted(named) if not (REPO / name).exists()] == []


def test_what_is_submitted_is_a_command_of_its_own() -> None:
    lines = {line for path in PAGES for line in commands(path.read_text(encoding="utf-8"))}
    sent = [shlex.split(line)[2:] for line in lines if line.startswith("fiat-color submit ")]
    assert sent
    assert all(submit.parse(words).command for words in sent)


def test_what_the_readme_shows_is_run() -> None:
    typed = {command for name in FOLLOWED for command in commands(page(name))}
    left = [command for command in commands(page("README.md")) if command not in typed]
    assert left == [
        "make demo",
        "source .venv/bin/activate",
        "fiat-color export colored/ --format bagit --to bags/1920s",  # run with --bag-info
    ]
    assert blocks(page("README.md"), "json") == blocks(page("docs/archivist.md"), "json")


class Archivist:
    """Types commands into a shell in a folder with three scans, one of them damaged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        scans = {"tram.jpg": encoded(photograph(1)), "yard.jpg": encoded(photograph(2))}
        fill(str(folder / "scans"), scans | {"broken.jpg": encoded(photograph(3))[:300]})
        program = folder / "bin" / "fiat-color"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m fiat_color "$@"\n')
        program.chmod(0o755)
        path = f"{program.parent}:{os.environ['PATH']}"
        self.environment = {**os.environ, **shared_head(), "PATH": path, "PYTHONPATH": str(REPO)}

    def type(self, command: str) -> subprocess.CompletedProcess[str]:
        if " colorize " in command:
            command += SMALL
        program, *words = shlex.split(command)
        assert program == "fiat-color"
        return run_forked(["-m", "fiat_color", *words], self.environment, cwd=self.folder)

    def has_coloured(self) -> None:
        """As the pages that speak of results expect it."""
        assert self.type("fiat-color colorize scans/ colored/").returncode == 3

    def serve(self, command: str) -> str:
        """Type it, open the address, press Ctrl-C; returns what was printed."""
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"], cwd=self.folder, env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert process.stdout
        printed = ""
        until = time.monotonic() + 120
        while "http://127.0.0.1:" not in printed and time.monotonic() < until:
            line = process.stdout.readline()
            assert line, printed
            printed += line
        (address,) = re.findall(r"http://127\.0\.0\.1:\S+", printed)
        with build_opener(HTTPCookieProcessor()).open(address, timeout=60) as opened:  # in the browser
            assert opened.status == 200
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
        assert process.returncode == 0, printed + rest
        return printed + rest

    def statuses(self) -> dict[str, str]:
        rows = sorted(ledger(str(self.folder / "colored")), key=lambda row: row["finished_at"])
        return {row["key"]: row["status"] for row in rows}

    def decide(self, key: str, verdict: str) -> None:
        """What the page's download holds."""
        (etag, *_) = (row["etag"] for row in ledger(str(self.folder / "colored")) if row["key"] == key)
        one = {"id": "1" * 32, "key": key, "etag": etag, "verdict": verdict, "who": "Kim"}
        decisions = {"decisions": [one | {"when": "2026-01-01T12:00:00Z"}]}
        (self.folder / "decisions.json").write_text(json.dumps(decisions))


@pytest.fixture
def archivist(tmp_path: Path) -> Archivist:
    return Archivist(tmp_path)


@pytest.mark.ray
@pytest.mark.first
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", FOLLOWED)
def test_who_follows_the_page_gets_there(archivist: Archivist, name: str) -> None:
    """The damaged scan makes every colouring end with 3; the others are done."""
    if name == "docs/archivist.md":
        (guides,) = blocks(page(name), "json")
        (archivist.folder / "guides.jsonl").write_text(guides)
    else:
        archivist.has_coloured()
    for command in commands(page(name)):
        if "--decisions" in command:
            archivist.decide("yard.jpg", "reject")
        if "--serve" in command:
            archivist.serve(command)
            continue
        (archivist.folder / "colored.csv").unlink(missing_ok=True)  # nothing is overwritten
        done = archivist.type(command)
        failing = " colorize " in command and "--dry-run" not in command
        assert done.returncode == (3 if failing else 0), f"{command}\n{done.stdout}{done.stderr}"
        if "--guides" in command:
            assert "Coloured 1 of 1" in done.stdout, done.stdout
    if name == "docs/archivist.md":
        became = {"tram.jpg": "colorized", "yard.jpg": "rejected", "broken.jpg": "failed"}
        assert archivist.statuses() == became
        bag = archivist.folder / "bags" / "1920s" / "data" / "images"
        assert [path.name for path in bag.iterdir()] == ["tram.jpg"]


@pytest.mark.ray
def test_the_queries_of_the_ledger_page_run(archivist: Archivist) -> None:
    archivist.has_coloured()
    programs = blocks(page("docs/ledger.md"), "python")
    assert len(programs) == 3
    for program in programs:
        ran = subprocess.run(
            [sys.executable, "-c", program], cwd=archivist.folder, env=archivist.environment,
            capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        assert "failed" in ran.stdout or "truncated" in ran.stdout
