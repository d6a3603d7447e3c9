"""Every path, name, command and setting that a page, docstring or comment names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support import code_names, references
from tests.support.paths import REPO

PAGES = [
    *(REPO / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((REPO / "docs").rglob("*.md")),
    *sorted((REPO / "pipeline" / "weights").glob("*.md")),
    *sorted((REPO / "tests").glob("*.md")),
]
FOLDERS = sorted({path.parent for path in code_names.source_files()})
CONFIGURED = [
    path
    for folder in ("configs", "infra", ".ci")
    for path in sorted((REPO / folder).rglob("*"))
    if path.is_file() and path.suffix not in (".json", ".md", ".py")
]


def name_of(path: Path) -> str:
    return str(path.relative_to(REPO))


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_a_page_names_is_there(page: Path) -> None:
    assert references.in_page(page) == []


def test_what_the_newest_section_of_the_changelog_names_is_there() -> None:
    path = REPO / "CHANGELOG.md"
    sections = re.split(r"^(?=## )", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert references.in_page(path, "".join(sections[:2])) == []


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_what_docstrings_and_comments_name_is_there(folder: Path) -> None:
    assert [p for path in sorted(folder.glob("*.py")) for p in references.in_code(path)] == []


def test_what_comments_of_configurations_and_scripts_name_is_there() -> None:
    assert len(CONFIGURED) > 40
    assert [problem for path in CONFIGURED for problem in references.in_comments(path)] == []


WRONG = {
    "[a page](nowhere.md)": "no file nowhere.md",
    "`pipeline/flow/run.py`": "no file or folder pipeline/flow/run.py",
    "`flow/work.py`": "no file flow/work.py",
    "`codecs/nothing`": "no codecs/nothing in pipeline/",
    "`pipeline.color.no_such_name`": "no pipeline.color.no_such_name",
    "`errors.NoSuchError`": "no errors.NoSuchError in the code",
    "`NoSuchClassAnywhere`": "no NoSuchClassAnywhere in the code",
    "set output.nothing first": "no configuration has the key output.nothing, and no module the name",
    "`output.nothing`": "no configuration has the key output.nothing, and no module the name",
    "`--no-such-option`": "no job has the option --no-such-option",
    "`make nothing`": "no target: make nothing",
    "`python -m tests.support.nothing`": "no module tests.support.nothing",
    "`python jobs/nothing.py`": "there is no jobs/nothing.py",
    "`python jobs/verify.py --recolor x`": "unrecognized arguments: --recolor",
    "use `--set output.nothing=1`": "no configuration of it has the key output.nothing",
    "```\npython jobs/verify.py\n```\n": "the following arguments are required: --output",
    "`python jobs/verify.py --output x --set data.crop=1`": "no configuration of it has the key data.crop",
    "`fiat-color colour IN OUT`": "fiat-color has no command colour",
    "```\nfiat-color colorize IN\n```\n": "the following arguments are required: --output",
    "    python jobs/train.py --run\n": "argument --run: expected one argument",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_not_there_is_found(text: str) -> None:
    result = references.in_page(REPO / "docs" / "page.md", text)
    assert any(problem.endswith(WRONG[text]) for problem in result), result


def test_what_is_there_is_not_reported() -> None:
    text = """[a page](training.md) `pipeline/color/` `color/` `pipeline.errors.RunError` `output.format=png`
`--output` `make lint` `data.hold_out=[SOURCE, ...]` `python jobs/evaluate.py --methods a,b`
```
python jobs/colorize_bucket.py --input IN --output OUT \\
    --set run.workers=64    # a comment
fiat-color colorize IN --limit 5 OUT
```
"""
    assert references.in_page(REPO / "docs" / "page.md", text) == []
