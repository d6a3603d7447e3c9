"""The commands that pages show: every line of every block without a language is a command."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.paths import REPO

PAGES = [
    *(REPO / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((REPO / "docs").rglob("*.md")),
    *sorted((REPO / "tests").glob("*.md")),
]

READ = {
    "fiat-color": "by the command's own parser and configuration: tests/docs/test_references.py",
    "python": "jobs and modules, by their own parsers: tests/docs/test_references.py",
    ".venv/bin/python": "as python",
    "make": "the target must be in the Makefile: tests/docs/test_references.py",
}
"""Programs of ours, and how each of their command lines is checked, whatever page it is on."""

OTHERS = {
    "export": "run: tests/docs/test_operations.py",
    "ray": "run: tests/docs/test_operations.py; cloud: tests/infra/test_launcher.py",
    "bash": "run: tests/docs/test_operations.py, tests/docs/test_deploy_page.py",
    "grep": "run: tests/docs/test_operations.py",
    "docker": "no container engine: the recipe is tested by tests/infra/test_container.py",
    "kubectl": "no cluster: files and names are checked by tests/infra/test_kuberay.py",
    "helm": "no cluster",
    "terraform": "no AWS provider: tests/infra/test_terraform.py reads the files",
    "systemctl": "no systemd: the units must exist",
    "git": "it would change the checkout under test",
    "source": "it would change the shell of the test",
    "useradd": "it would change the machine",
    "install": "it would change the machine: what it copies must exist",
    "chown": "it would change the machine",
    "scp": "no second machine",
    "cp": "it would change the machine: what it copies must exist",
    ".ci/run": "it installs packages",
}
"""Other programs, and what is done about them."""


def commands(text: str, language: str = "") -> list[str]:
    """The command lines of a page in order, without comments and line breaks.

    Args:
        text: the text of the page.
        language: language of the blocks to read; "": blocks that name none.
    """
    joined = "".join(blocks(text, language)).replace("\\\n", " ")
    lines = joined.splitlines()
    return [line for line in (re.sub(r"(^|\s+)# .*", "", line).strip() for line in lines) if line]


def blocks(text: str, language: str) -> list[str]:
    """The contents of a page's blocks that name this language; "": blocks that name none."""
    every = re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [block for named, block in every if named == language]


def name_of(path: Path) -> str:
    """The path of a page, relative to the root."""
    return str(path.relative_to(REPO))
