"""The real exiftool, started once for all tests: most of the time of a call is the start of Perl."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support import servers
from tests.support.needs import until_the_end


def tags_of(file: Path, *options: str) -> dict[str, Any]:
    """Every tag of a file; the names are `group:name` if `-G1` is among the options. Warnings and errors are
    tags too."""
    (tags,) = json.loads(_call("-j", *options, str(file)))
    return dict(tags)


def write_tags(file: Path, tags: dict[str, str]) -> None:
    """Write tags into a file, in place."""
    _call("-overwrite_original", *(f"-{name}={value}" for name, value in tags.items()), str(file))


def _call(*arguments: str) -> str:
    """What exiftool prints on stdout for these arguments. Not with `-q`: it also omits the last line."""
    process = _started()
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n".join([*arguments, "-execute\n"]))
    process.stdin.flush()
    answer = []
    while (line := process.stdout.readline()) != "{ready}\n":
        assert line, "exiftool has ended"
        answer.append(line)
    return "".join(answer)


@functools.cache
def _started() -> subprocess.Popen[str]:
    program = shutil.which("exiftool")
    if program is None:
        missing = "exiftool is missing: apt-get install libimage-exiftool-perl"
        pytest.fail(missing) if servers.in_ci() else pytest.skip(missing)
    command = [program, "-stay_open", "True", "-@", "-"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    until_the_end.callback(process.communicate, "-stay_open\nFalse\n", timeout=30)
    return process
