"""The commands of docs/operations.md, and a class that runs them in order.

`Operator` replaces the placeholders of the page with its own values. `NOT_RUN` names the commands that cannot
run in a test, with the reason; these are only read as their programs would read them.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

from tests.support.forked_commands import run_forked
from tests.support.paths import REPO
from tests.support.ray_head import started

PAGE = (REPO / "docs" / "operations.md").read_text(encoding="utf-8")
NOT_RUN = {
    "systemctl": "the test has no systemd: the units must exist",
    "git": "it would change the checkout under test",
    "make": "it installs packages: the target must exist",
}
"""First words of commands that are not run, and why."""


def commands() -> list[str]:
    """Every line of every block without a language, without comments and line breaks."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    lines = [
        line for language, block in blocks if not language for line in block.replace("\\\n", " ").splitlines()
    ]
    return [line for line in (re.sub(r"\s+# .*", "", line).strip() for line in lines) if line]


def night_yaml() -> str:
    """The configuration of the page."""
    (block,) = re.findall(r"^```yaml\n(.+?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return str(block)


def ray_head(command: str, environment: dict[str, str], log: Path) -> AbstractContextManager[int]:
    """The page's `ray start`, on loopback and without its dashboard, until the block ends."""
    words = [*shlex.split(command)[1:], "--num-cpus=3", "--node-ip-address=127.0.0.1"]
    return started([*words, "--include-dashboard=false"], environment, log)


class Operator:
    """Runs commands; exported variables stay, as in a shell."""

    def __init__(self, folder: Path, substitutes: dict[str, str], environment: dict[str, str]) -> None:
        self.folder, self.substitutes = folder, substitutes
        self.environment = dict(environment)

    def here(self, command: str) -> str:
        """The command with its placeholders replaced."""
        for named, own in self.substitutes.items():
            command = re.sub(rf"(?<![\w/]){re.escape(named)}(?!\w)", lambda _, own=own: own, command)
        return command

    def export(self, command: str) -> None:
        """`export NAME=VALUE ...`"""
        for word in shlex.split(self.here(command))[1:]:
            name, _, value = word.partition("=")
            self.environment[name] = value

    def type(self, command: str, timeout: float = 280) -> subprocess.CompletedProcess[str]:
        """Run it with the test's Python, in the operator's folder."""
        line = re.sub(r"^python jobs/", f"{shlex.quote(sys.executable)} {REPO}/jobs/", self.here(command))
        line = re.sub(r"\b(infra|configs)/(?=[\w/]+\.\w)", lambda found: f"{REPO}/{found[1]}/", line)
        job = re.fullmatch(rf"{re.escape(shlex.quote(sys.executable))} (\S+/jobs/[^|&;<>$`]+)", line)
        if job:
            return run_forked(shlex.split(job[1]), self.environment, cwd=self.folder, timeout=timeout)
        settings = {"cwd": self.folder, "env": self.environment, "timeout": timeout}
        return subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, **settings)
