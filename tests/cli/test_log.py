"""The log of a job as text and as JSON, in separate processes: whatever prints, each line is one object."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from typing import Any

import pytest

from pipeline.cli.log import FIELDS
from tests.support.job_runner import JOB, run
from tests.support.paths import REPO

SPEAKS = """
import logging, os, sys, warnings
from pipeline.cli import log
from pipeline.cli.command import exit_status
from pipeline.errors import StorageError

def work():
    log.bind("run-1")
    log.say("plan", "two objects", text="input  in\\nto do  2", todo=2)
    log.say("note", "on stderr", stderr=True)
    log.detail("image", "corrupt: é \\n", level="warning", shard="s1", key="a b\\u2028.jpg", code="corrupt")
    print("from a library")
    warnings.warn("old")
    logging.getLogger("library").warning("one of\\n two lines")
    try:
        1 / 0
    except ZeroDivisionError:
        logging.getLogger("library").exception("it failed")
    os.write(2, b"from native code\\nand without an end")
    {end}

sys.exit(exit_status(work, sys.argv[1]))
"""


def speak(format_: str, end: str) -> subprocess.CompletedProcess[str]:
    script = SPEAKS.replace("{end}", end)
    return subprocess.run(
        [sys.executable, "-c", script, format_], capture_output=True, text=True, cwd=REPO, timeout=60
    )


def objects(text: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in text.splitlines()]
    assert all(tuple(line)[: len(FIELDS)] == FIELDS for line in lines)
    return lines


def test_as_text_results_are_on_stdout_and_the_rest_on_stderr() -> None:
    process = speak("text", "raise StorageError('the disk is full')")
    assert process.returncode == 1
    assert process.stdout == "input  in\nto do  2\nfrom a library\n"
    assert process.stderr.startswith("on stderr\n")
    assert process.stderr.endswith("without an enderror: the disk is full\n")
    assert "corrupt" not in process.stdout + process.stderr


PRINTS = """
import sys
from pipeline.cli import log
from pipeline.cli.command import exit_status

sys.exit(exit_status(lambda: log.say("summary", "caf\u00e9 \u2014 \u65e5\u672c.jpg \udcff")))
"""


@pytest.mark.parametrize(
    ("environment", "printed"),
    [
        ({"PYTHONIOENCODING": "latin-1"}, b"caf\xe9 \\u2014 \\u65e5\\u672c.jpg \\udcff\n"),
        (
            {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
            b"caf\\xe9 \\u2014 \\u65e5\\u672c.jpg \\udcff\n",
        ),
        (
            {"PYTHONIOENCODING": "utf-8"},
            "caf\u00e9 \u2014 \u65e5\u672c.jpg ".encode() + b"\\udcff\n",
        ),
    ],
)
def test_what_the_terminal_cannot_show_is_printed_as_an_escape(
    environment: dict[str, str], printed: bytes
) -> None:
    script = PRINTS.encode("unicode_escape").decode().replace("\\n", "\n")
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        cwd=REPO,
        timeout=60,
        env=environment,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == printed


def test_as_json_every_line_is_an_object_whoever_wrote_it() -> None:
    process = speak("json", "raise StorageError('the disk is full')")
    assert (process.returncode, process.stdout) == (1, "")
    lines = objects(process.stderr)
    assert {line["run"] for line in lines} == {"run-1"}
    told = {line["event"]: line for line in lines if line["event"] != "output"}
    assert (told["plan"]["message"], told["plan"]["todo"], told["plan"]["level"]) == (
        "two objects",
        2,
        "info",
    )
    assert (told["image"]["shard"], told["image"]["key"]) == ("s1", "a b\u2028.jpg")
    assert (told["image"]["level"], told["image"]["code"]) == ("warning", "corrupt")
    assert (told["error"]["message"], told["error"]["exit_status"]) == ("the disk is full", 1)
    assert (told["note"]["shard"], told["note"]["key"]) == (None, None)
    others = [(line["level"], line["message"]) for line in lines if line["event"] == "output"]
    assert ("info", "from a library") in others
    assert ("warning", "from native code") in others
    assert ("warning", "and without an end") in others
    assert ("warning", "one of two lines") in others
    (failed,) = [line for line in lines if line["message"] == "it failed"]
    assert (failed["level"], failed["traceback"].splitlines()[-1]) == (
        "error",
        "ZeroDivisionError: division by zero",
    )
    assert any("UserWarning: old" in message for _, message in others)


def test_a_defect_is_one_line_with_its_traceback() -> None:
    process = speak("json", "raise KeyError('x')")
    assert process.returncode == 1
    (defect,) = [line for line in objects(process.stderr) if line["event"] == "defect"]
    assert (defect["level"], defect["message"]) == ("error", "KeyError: 'x'")
    assert defect["traceback"].startswith("Traceback (most recent call last):\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--log-format=json", "--inptu", "x"], "--input"),
        (["--log-format", "json", "--input", "x"], "--output"),
        (["--log-format", "json", "--input", "in", "--output", "out", "--set", "model.sid=8"], "model.sid"),
        (["--log-format", "json", "--input", "/nowhere/in", "--output", "out"], "/nowhere/in"),
    ],
)
def test_a_users_mistake_is_json_too_with_the_same_status(arguments: list[str], words: str) -> None:
    process = run(*arguments)
    assert (process.returncode, process.stdout) == (2, "")
    (line,) = objects(process.stderr)
    assert (line["level"], line["event"], line["exit_status"]) == ("error", "error", 2)
    assert words in line["message"]


@pytest.mark.slow
def test_an_unknown_format_is_bad_usage() -> None:
    process = run("--log-format", "xml", "--input", "in", "--output", "out")
    assert process.returncode == 2
    assert "invalid choice: 'xml'" in process.stderr


@pytest.mark.parametrize("job", sorted(path.stem for path in JOB.parent.glob("*.py")))
def test_every_job_has_the_option(job: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        import_module(f"jobs.{job}").main(["--help"])
    assert left.value.code == 0
    assert "--log-format {text,json}" in capsys.readouterr().out
