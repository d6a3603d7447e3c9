"""What a person reads before a run: the weights by name, their licence, warnings, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.cli.counts import all_are, counted
from pipeline.config.job import JobConfig
from pipeline.models.method_list import METHODS, SOLVERS
from pipeline.models.names import METHOD_NAMES, SOLVER_NAMES
from pipeline.plan.plan import Plan
from pipeline.run.colorize import _say_plan
from pipeline.run.start import ColorizeRequest
from pipeline.shard.job import Job
from tests.support.job_runner import encoded, fill, photograph

FAST = ("--set", "model.side=64", "--dry-run")


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    fill(str(tmp_path / "scans"), {"a.jpg": encoded(photograph(1, 64, 48))})
    return tmp_path / "scans"


def test_counts_are_in_words() -> None:
    assert [counted(n, "file") for n in (0, 1, 2, 12345)] == [
        "0 files", "1 file", "2 files", "12,345 files"
    ]  # fmt: skip
    assert (all_are(1, "file"), all_are(3, "file")) == ("the one file is", "all 3 files are")


def test_a_dry_run_ends_with_the_plan(scans: Path, in_process: Callable) -> None:
    done = in_process("colorize_bucket", scans, scans.parent / "out", *FAST)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == f"input    {scans}: 1 file, {(scans / 'a.jpg').stat().st_size} B"
    assert lines[2] == "weights  faithful (unet)"
    assert lines[3] == "model    faithful, licence non-commercial research, from pipeline/weights/faithful.md"
    assert lines[-3].startswith("to do    1 file, ")
    assert lines[-3].endswith("in 1 shard")
    assert lines[-2].startswith("time     about ")
    assert lines[-1].startswith("Dry run: nothing was written.")


def test_a_plan_that_has_not_changed_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    request, job = ColorizeRequest("in", "out", JobConfig()), Job(JobConfig(), "in", "out", "", "", "")
    before, after = (Plan(2, 2, 0, {}, images, images, []) for images in (2, 1))
    _say_plan(request, job, before)
    assert capsys.readouterr().out.count("input ") == 1
    _say_plan(request, job, before, before)
    assert capsys.readouterr().out == ""
    _say_plan(request, job, after, before)
    assert "to do    1 file" in capsys.readouterr().out


def test_the_configuration_is_printed_on_request(scans: Path, in_process: Callable) -> None:
    done = in_process("colorize_bucket", scans, scans.parent / "out", *FAST, "--show-config")
    assert done.stdout.startswith("The effective configuration:\nplan:\n")
    assert "\n  side: 64\n" in done.stdout
    assert "\ninput    " in done.stdout


def test_weights_of_the_user_s_are_named_by_their_place_and_have_no_licence(
    scans: Path, in_process: Callable
) -> None:
    vivid = in_process("colorize_bucket", scans, "out", *FAST, "--weights", "vivid")
    assert "weights  vivid (unet)\nmodel    vivid, licence non-commercial" in vivid.stdout
    guided = in_process("colorize_bucket", scans, "out", *FAST, "--method", "scribble")
    assert "weights  none (scribble)\n" in guided.stdout
    assert "licence" not in guided.stdout


def test_the_name_of_weights_is_no_method(scans: Path, in_process: Callable) -> None:
    done = in_process("colorize_bucket", scans, "out", *FAST, "--method", "vivid")
    assert done.returncode == 2
    assert done.stderr == (
        "error: 'vivid' is the name of weights, not of a method: --weights vivid (its method is unet)\n"
    )


def test_a_pattern_that_matches_nothing_is_said_and_strict_ends_it(scans: Path, in_process: Callable) -> None:
    typed = ("colorize_bucket", scans, "out", *FAST, "--set", "plan.include=*.JPG")
    done = in_process(*typed)
    assert done.returncode == 0
    first, second = done.stderr.splitlines()
    assert first.startswith("warning: plan.include has the pattern '*.JPG', which matches none of 1 file;")
    assert first.endswith("the nearest is 'a.jpg'")
    assert second == "warning: the patterns leave out every image of the input (1)"
    strict = in_process(*typed, "--strict")
    assert (strict.returncode, strict.stderr.count("\n")) == (2, 1)
    assert strict.stderr.startswith("error: plan.include has the pattern '*.JPG'")


def test_no_credentials_are_bad_usage(in_process: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    done = in_process("colorize_bucket", "s3://no-such-bucket/scans", "out", *FAST, "--set",
                      "storage.endpoint=http://127.0.0.1:9")  # fmt: skip
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "set AWS_ACCESS_KEY_ID" in done.stderr


def test_help_lists_methods_and_weights(in_process: Callable) -> None:
    assert sorted(METHODS) == list(METHOD_NAMES)
    assert sorted(SOLVERS) == list(SOLVER_NAMES)
    words = in_process("colorize_bucket", "--help").stdout.split()
    assert {*(f"{name}," for name in list(METHODS)[:-1]), "vivid,"} - set(words) <= {"welsh,"}
