"""`fiat-color` has a command for every job, and both run the same code."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib import import_module

import pytest
import yaml

import pipeline
from pipeline.commands.program import COMMANDS, completion, main
from tests.support.paths import REPO

JOBS = sorted(path.stem for path in (REPO / "jobs").glob("*.py"))
PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_every_job_is_a_command_and_the_same_function() -> None:
    by_command = {name: import_module(f"pipeline.commands.{name.replace('-', '_')}") for name in COMMANDS}
    of_jobs = {import_module(f"jobs.{job}").main for job in JOBS}
    assert of_jobs == {module.main for name, module in by_command.items() if name != "weights"}


def test_every_file_of_a_command_is_in_the_program() -> None:
    files = {path.stem for path in (REPO / "pipeline" / "commands").glob("*.py")}
    assert files - {"__init__", "early_checks", "program"} == {name.replace("-", "_") for name in COMMANDS}


@pytest.mark.parametrize("job", JOBS)
def test_a_job_is_thin(job: str) -> None:
    assert len((REPO / "jobs" / f"{job}.py").read_text(encoding="utf-8").splitlines()) < 20


def test_the_version_is_the_project_s(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert (left.value.code, capsys.readouterr().out) == (0, f"fiat-color {PROJECT['version']}\n")
    assert pipeline.__version__ == PROJECT["version"]
    cited = yaml.safe_load((REPO / "CITATION.cff").read_text(encoding="utf-8"))
    assert (cited["version"], cited["license"]) == (PROJECT["version"], PROJECT["license"])


def test_issue_forms_ask_for_something() -> None:
    forms = [yaml.safe_load(path.read_text()) for path in (REPO / ".github" / "ISSUE_TEMPLATE").glob("*.yml")]
    assert len(forms) == 2
    assert all(form["name"] and form["description"] and form["body"] for form in forms)


def test_help_has_every_command_and_no_command_is_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    assert left.value.code == 0
    help = capsys.readouterr().out
    assert all(f"\n    {name} " in help for name in COMMANDS)
    assert main([]) == 2
    assert capsys.readouterr() == ("", help)
    with pytest.raises(SystemExit) as left:
        main(["colour"])
    assert left.value.code == 2


def test_a_command_calls_itself_by_what_was_typed(capsys: pytest.CaptureFixture[str]) -> None:
    before = list(sys.argv)
    with pytest.raises(SystemExit):
        main(["verify", "--help"])
    assert capsys.readouterr().out.startswith("usage: fiat-color verify OUT [options]")
    with pytest.raises(SystemExit):
        main(["colorize"])
    assert "fiat-color colorize: error: the following" in capsys.readouterr().err
    assert sys.argv == before


@pytest.mark.parametrize("module", ["fiat_color", "jobs.colorize_bucket"])
def test_it_runs_as_a_module_too(module: str) -> None:
    words = ["colorize"] if module == "fiat_color" else []
    ran = subprocess.run(
        [sys.executable, "-m", module, *words, "nowhere", "out", "--dry-run"],
        capture_output=True, text=True, cwd=REPO, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr.count("\n")) == (2, 1), ran.stderr
    assert "nowhere" in ran.stderr


def test_the_entry_point_ends_with_the_programs_status() -> None:
    module, _, function = PROJECT["scripts"]["fiat-color"].partition(":")
    call = f"import sys; from {module} import {function}; sys.argv[1:] = ['colour']; {function}(); print(1)"
    ended = subprocess.run(
        [sys.executable, "-c", call], cwd=REPO, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "invalid choice: 'colour'" in ended.stderr


def test_bash_completes_commands_and_options() -> None:
    script = completion("bash")
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
    ask = "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _shtab_fiat_color; echo ${COMPREPLY[@]}"
    for typed, expected in {"fiat-color ver": "verify", "fiat-color colorize --weigh": "--weights"}.items():
        program = f"{script}\nCOMP_WORDS=({typed}); {ask}"
        ran = subprocess.run(["bash"], input=program, capture_output=True, text=True, check=True)
        assert ran.stdout.split()[-1:] == [expected], (ran.stdout, ran.stderr)


def test_weights_lists_what_ships_with_its_licence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights"]) == 0
    lines = capsys.readouterr().out.splitlines()
    files = {path.stem for path in (REPO / "pipeline" / "weights").glob("*.safetensors")}
    assert {line.split()[0] for line in lines} == files
    assert lines[0].startswith("faithful ")
    licence = {name: "Apache-2.0" if name == "open" else "non-commercial research" for name in files}
    assert all(f"licence: {licence[line.split()[0]]}" in line for line in lines)
