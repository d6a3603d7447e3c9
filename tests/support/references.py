"""Whether the paths, names, commands and settings that pages, docstrings and comments name exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.support import code_names, job_commands
from tests.support.paths import REPO

TOP = ("pipeline", "fiat_color", "jobs", "infra", "tests", "configs", "docs", ".ci")
PATH = re.compile(
    r"(?<![\w/.:-])((?:pipeline|fiat_color|jobs|infra|tests|configs|docs|\.ci)/[\w./-]*\w)(?![\w]*[*<{$])"
)
ROOM_FILE = re.compile(r"(?<![\w/.])((?:\w+/)*\w+\.py)\b(?!/)")
DOTTED = re.compile(r"(?<![\w./:@-])([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+)(?![\w/-]|\.\w)")
BARE = re.compile(r"(?<![\w./:@`-])([a-z]\w*(?:\.[A-Za-z_]\w*)+)(?![\w/(-]|\.\w)")
FROM_A_ROOT = re.compile(r"(?<![\w./:@-])((?:pipeline|fiat_color|jobs|tests)(?:\.\w+)+)(?![\w/-])")
OURS = "README|CHANGELOG|LICENSE|ARCHITECTURE|CONTRIBUTING"
OWN = re.compile(rf"(?:^|[/_])(?!{OURS})(?:[A-Z]+|\.\.\.)(?:/|$|\.)")
"""Any other word in capitals on a path stands for the reader's own."""
SHAPED = re.compile(r"(?:ab|L|rgb)_[A-Z]\w*")
"""A quantity with its shape, as in a formula."""
INLINE = re.compile(r"(?<!`)`([^`\n]+(?:\n[^`\n]+)?)`(?!`)")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[\w-]*)?\)")
SETTING = re.compile(r"--set[ =]'?((?:[\w]+\.)+[\w]+=(?:\[[^\]]*\]|[^\s'`\"),;]+))")
COMMAND = re.compile(
    r"(?<![\w/])(?:(?:python|\.venv/bin/python) (?:jobs/\w+\.py|-m \w[\w.]*)"
    r"|(?<![.-])(?<!-n )fiat-color [a-z][\w-]*)[^`]*"
)
MAKE = re.compile(r"(?:^|[`(]|&& )make ([a-z]+)", re.MULTILINE)
SUFFIXES = re.compile(r"py|md|yaml|jsonl?|csv|toml|sh|tf|jpg|png|parquet|html|txt|xml|io")
"""Ends of names that are files and hosts, not attributes."""


def in_page(path: Path, text: str | None = None) -> list[str]:
    """What a Markdown page names but does not exist, as `page:line: what`."""
    text = path.read_text(encoding="utf-8") if text is None else text
    blocks, prose = _split(text)
    result = list(_paths(text)) + list(_from_a_root(text)) + list(_settings(text))
    result += [(at, f"no file {to}") for at, to in _links(prose) if not (path.parent / to).exists()]
    result += [p for at, span in _spans(prose) for p in _inline(at, span)]
    result += [(at, told) for at, name in _matches(BARE, prose) for told in _key(name)]
    for at, block in blocks:
        result += _lines_of_commands(at, block)
    result += [(at, f"no target: make {name}") for at, name in _matches(MAKE, text) if name not in targets()]
    return _named(path, text, result)


def in_code(path: Path) -> list[str]:
    """What the docstrings and comments of a Python file name but does not exist."""
    problems, source = [], code_names.source(path)
    for line, prose in source.prose:
        result = list(_paths(prose)) + list(_from_a_root(prose)) + list(_settings(prose))
        result += _lines_of_commands(0, prose)
        for at, span in _spans(prose):
            if span.partition(".")[0] not in source.arguments:
                result += _inline(at, span)
        for at, name in _matches(BARE, prose):
            if name.partition(".")[0] in code_names.modules():
                result += [(at, told) for told in _dotted(name)]
        where = path.relative_to(REPO)
        problems += [
            f"{where}:{line + prose[:at].count(chr(10))}: {what}" for at, what in sorted(set(result))
        ]
    return problems


def in_comments(path: Path) -> list[str]:
    """What the comments of a configuration or script name but does not exist."""
    lines = path.read_text(encoding="utf-8").splitlines()
    text = "\n".join(line.partition("#")[2].strip() if "#" in line else "" for line in lines)
    result = list(_paths(text)) + list(_from_a_root(text)) + list(_settings(text))
    result += _lines_of_commands(0, text)
    return _named(path, text, result)


def _named(path: Path, text: str, found: list[tuple[int, str]]) -> list[str]:
    where = path.relative_to(REPO)
    return [f"{where}:{text[:at].count(chr(10)) + 1}: {what}" for at, what in sorted(set(found))]


def _split(text: str) -> tuple[list[tuple[int, str]], str]:
    """The blocks of code of a page with their offsets, and the page with these blocks blanked out."""
    pattern = re.compile(r"^```.*?\n(.*?)^```|((?:^    .*\n)+)", re.MULTILINE | re.DOTALL)
    blocks = [(m.start(1 if m[1] else 2), m[1] or m[2]) for m in pattern.finditer(text)]
    return blocks, pattern.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)


def _matches(pattern: re.Pattern[str], text: str) -> Iterator[tuple[int, str]]:
    for match in pattern.finditer(text):
        yield match.start(1), match[1]


def _spans(text: str) -> Iterator[tuple[int, str]]:
    for at, span in _matches(INLINE, text):
        yield at, " ".join(span.split())


def _links(text: str) -> Iterator[tuple[int, str]]:
    for at, target in _matches(LINK, text):
        if not target.startswith(("http:", "https:", "mailto:")):
            yield at, target


def _paths(text: str) -> Iterator[tuple[int, str]]:
    for at, name in _matches(PATH, text):
        if not OWN.search(name) and not (REPO / name).exists():
            yield at, f"no file or folder {name}"
    for at, name in _matches(ROOM_FILE, text):
        if not OWN.search(name) and not _is_a_file(name):
            yield at, f"no file {name}"


@cache
def _is_a_file(name: str) -> bool:
    """Whether a Python file exists: from the root, or as the end of a path in the project."""
    ends = [f"/{path.relative_to(REPO)}" for path in _python_files()]
    return any(end.endswith(f"/{name}") for end in ends)


@cache
def _python_files() -> list[Path]:
    return [*code_names.source_files(), *sorted((REPO / "infra").rglob("*.py"))]


def _from_a_root(text: str) -> Iterator[tuple[int, str]]:
    for at, name in _matches(FROM_A_ROOT, text):
        if not SUFFIXES.fullmatch(name.rpartition(".")[2]) and not code_names.resolves(name):
            yield at, f"no {name}"


def _settings(text: str) -> Iterator[tuple[int, str]]:
    for at, setting in _matches(SETTING, text):
        if told := job_commands.setting_problem(setting):
            yield at, told


def _lines_of_commands(at: int, block: str) -> Iterator[tuple[int, str]]:
    """Commands of a block, one per line; a line that ends with a backslash continues."""
    joined = re.sub(r"\\\n\s*", " ", block)
    for line in joined.splitlines():
        line = re.sub(r"\s+# .*", "", line)
        for match in COMMAND.finditer(line):
            if told := _command_problem(match[0], whole=not line[: match.start()].strip()):
                yield at + block.find(match[0][:20]), told


def _command_problem(command: str, *, whole: bool) -> str | None:
    if job_commands.JOB_COMMAND.match(command):
        whole = whole and "..." not in command
        told = job_commands.problem(command, whole=whole)
        return told and f"{command.strip()}: {told}"
    module = command.split()[2]
    if module.split(".")[0] in code_names.ROOTS and not code_names.resolves(module):
        return f"no module {module}"
    return None


def _inline(at: int, span: str) -> Iterator[tuple[int, str]]:
    """What is wrong with a piece of code in a sentence."""
    if match := COMMAND.match(span):
        if told := _command_problem(match[0], whole=False):
            yield at, told
    elif span.startswith("--"):
        yield from ((at, told) for told in _option(span))
    elif re.fullmatch(r"[A-Za-z_]\w*(\(\))?", span):
        name = span.removesuffix("()").removesuffix("_total")  # which Prometheus adds to a counter
        if name not in _words() and not SHAPED.fullmatch(name):
            yield at, f"no {span} in the code"
    elif re.fullmatch(r"[a-z]\w*/(?:[\w.]+/)*[\w.]*", span):
        if span.split("/")[0] in packages() and not _in_a_package(span):
            yield at, f"no {span} in pipeline/"
    elif DOTTED.match(span):
        yield from ((at, told) for told in _dotted(span))


def _option(span: str) -> Iterator[str]:
    option = re.split(r"[ =]", span)[0]
    if option == "--set" or option in OTHERS_OPTIONS:
        return
    if option not in job_commands.options():
        yield f"no job has the option {option}"


OTHERS_OPTIONS = {
    "--block": "ray start",
    "--build-arg": "docker",
    "--collector.systemd": "node_exporter",
    "--write": "tests.support.architecture",
}
"""Options in a sentence that belong to other programs."""

OTHERS_NAMES = {
    "DistributedDataParallel",  # torch
    "WorkerId",  # a label of Ray's metrics
    "getColorExact",  # the authors' code of a paper
}
"""Names in a sentence that belong to others."""


def _dotted(span: str) -> Iterator[str]:
    match = DOTTED.match(span)
    assert match
    name, rest = match[1], span[match.end() :]
    if SUFFIXES.fullmatch(name.rpartition(".")[2]):
        return
    first = name.partition(".")[0]
    if first in job_commands.sections() and not rest.startswith("("):
        if rest.startswith("=") and not re.search(r"\s", span):
            if told := job_commands.setting_problem(span):
                yield told
            return
        if job_commands.is_key(name):
            return
        if not code_names.resolves(name):
            yield f"no configuration has the key {name}, and no module the name"
    elif first in code_names.modules() and not code_names.resolves(name) and not job_commands.is_key(name):
        yield f"no {name} in the code"


def _key(name: str) -> Iterator[str]:
    """What is wrong with a key in a sentence without code marks."""
    if name.partition(".")[0] in job_commands.sections() and not name.rpartition(".")[2].isupper():
        yield from _dotted(name)


@cache
def packages() -> frozenset[str]:
    """The folders of `pipeline/`, without the link to `configs/`."""
    return frozenset(p.name for p in (REPO / "pipeline").iterdir() if p.is_dir() and not p.is_symlink())


def _in_a_package(span: str) -> bool:
    return (REPO / "pipeline" / span).exists() or (REPO / "pipeline" / f"{span.rstrip('/')}.py").exists()


@cache
def targets() -> frozenset[str]:
    """The targets of the Makefile."""
    text = (REPO / "Makefile").read_text(encoding="utf-8")
    return frozenset(re.findall(r"^([a-z]+):", text, re.MULTILINE))


@cache
def _words() -> frozenset[str]:
    """Names of the code, words of its strings, and keys and values of the configurations."""
    configs = [p.read_text(encoding="utf-8") for p in sorted((REPO / "configs").rglob("*.yaml"))]
    infra = [p.read_text(encoding="utf-8", errors="ignore") for p in sorted((REPO / "infra").rglob("*.*"))]
    files = {path.stem for path in _python_files()}
    words = code_names.identifiers() | files | set(re.findall(r"\w+", "\n".join(configs + infra)))
    return words | {word.removeprefix("fiat_color_") for word in words} | OTHERS_NAMES
