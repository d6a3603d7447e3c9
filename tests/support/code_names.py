"""What the repository's code defines, read from its source: modules, their attributes, every identifier."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests.support.paths import REPO

ROOTS = ("pipeline", "fiat_color", "jobs", "tests")


@dataclass
class Scope:
    """A module or class: the names that can follow its dot."""

    names: dict[str, Scope] = field(default_factory=dict)

    def add(self, name: str) -> Scope:
        """The scope of that name, created if there is none."""
        return self.names.setdefault(name, Scope())

    def join(self, other: Scope) -> None:
        """Add everything from the other scope."""
        for name, inner in other.names.items():
            self.add(name).join(inner)

    def has(self, parts: list[str]) -> bool:
        """Whether the names exist, each within the one before."""
        return not parts or (parts[0] in self.names and self.names[parts[0]].has(parts[1:]))


def source_files() -> list[Path]:
    """Every Python file of the project."""
    return sorted(path for root in ROOTS for path in (REPO / root).rglob("*.py"))


@dataclass(frozen=True)
class Source:
    """The content of a Python file, read once: its tree and tokens take time and much memory.

    scope: what it defines; words: every name, and every word of its string literals, docstrings left out;
    prose: docstrings, epilogs and blocks of comments, each with the line on which it begins; arguments: the
    names of all arguments of its functions.
    """

    scope: Scope
    words: frozenset[str]
    prose: tuple[tuple[int, str], ...]
    arguments: frozenset[str]


#: A string literal, or a comment, wherever it begins outside of another one.
_LITERAL = re.compile(
    r"""(?P<quotes>\"{3}|'{3})(?:\\.|[^\\])*?(?P=quotes)|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'"""
    r"|(?P<comment>\#[^\n]*)",
    re.DOTALL,
)
_ESCAPED = re.compile(r"\\.", re.DOTALL)
_OF_SELF = re.compile(r"\bself\.(\w+)\s*(?::[^=\n]+)?(?:=(?!=)|,)")


def tree_of(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def source(path: Path) -> Source:
    """The content of a file.

    Only the statements of the syntax tree are visited, and regular expressions do the rest: visiting every
    expression and letting Python tokenize takes more than twice as long.
    """
    text = path.read_text(encoding="utf-8")
    tree, scope, lines = ast.parse(text), Scope(), text.splitlines()
    _define(scope, tree.body, lines)
    docstrings, arguments = list[ast.Constant](), set[str]()
    for node in _statements(tree.body):
        match node:
            case ast.Expr(value=ast.Constant(value=str()) as constant):
                docstrings.append(constant)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                given = node.args
                every = (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg)
                arguments.update(argument.arg for argument in every if argument)
    prose = [(node.lineno, str(node.value)) for node in docstrings]
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id="EPILOG")], value=ast.Constant(value=str(epilog))):
                prose.append((statement.lineno, epilog))
    words, comments = _words_and_comments(text, {node.lineno for node in docstrings})
    return Source(scope, words, (*prose, *comments), frozenset(arguments))


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a block and of the blocks within it, outer ones first."""
    for statement in body:
        yield statement
        for block in ("body", "orelse", "finalbody"):
            yield from _statements(getattr(statement, block, []))
        for branch in (*getattr(statement, "handlers", []), *getattr(statement, "cases", [])):
            yield from _statements(branch.body)


def _words_and_comments(text: str, docstrings: set[int]) -> tuple[frozenset[str], list[tuple[int, str]]]:
    """Names and words of string literals, except those that begin on the lines `docstrings`; and the blocks
    of comments, each with its first line."""
    words, comments = set[str](), list[tuple[int, str]]()
    end, line, begin, block = 0, 1, 0, ""
    for match in _LITERAL.finditer(text):
        between = text[end : match.start()]
        words.update(re.findall(r"\w+", between))
        if block and (between.strip() or not match["comment"]):
            comments.append((begin, block))
            block = ""
        line += between.count("\n")
        if match["comment"]:
            begin = begin if block else line
            block = f"{block}\n{match[0].lstrip('#: ')}"
        elif line not in docstrings:
            words.update(re.findall(r"\w+", _ESCAPED.sub(" ", match[0])))
        line += match[0].count("\n")
        end = match.end()
    words.update(re.findall(r"\w+", text[end:]))
    return frozenset(words), [*comments, (begin, block)] if block else comments


@cache
def packages() -> Scope:
    """The roots `pipeline`, `jobs` and `tests`, with everything in them."""
    top = Scope()
    for path in source_files():
        scope = top
        for part in path.relative_to(REPO).with_suffix("").parts:
            if part != "__init__":
                scope = scope.add(part)
        scope.join(source(path).scope)
    return top


def _define(scope: Scope, body: list[ast.stmt], lines: list[str]) -> None:
    for statement in body:
        match statement:
            case ast.ClassDef():
                _define(scope.add(statement.name), statement.body, lines)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                scope.add(statement.name)
                for name in _OF_SELF.findall("\n".join(lines[statement.lineno - 1 : statement.end_lineno])):
                    scope.add(name)
            case ast.Assign():
                for target in statement.targets:
                    for node in ast.walk(target):
                        if isinstance(node, ast.Name):
                            scope.add(node.id)
            case ast.AnnAssign(target=ast.Name(id=name)) | ast.AugAssign(target=ast.Name(id=name)):
                scope.add(name)
            case ast.Import() | ast.ImportFrom():
                for alias in statement.names:
                    scope.add((alias.asname or alias.name).split(".")[0])
            case ast.If() | ast.Try() | ast.With():
                _define(scope, statement.body, lines)


@cache
def modules() -> dict[str, list[Scope]]:
    """Every module and package by its last name, and by every longer suffix of its dotted name."""
    result: dict[str, list[Scope]] = {}
    for path in source_files():
        parts = path.relative_to(REPO).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        folders = [parts[: i + 1] for i in range(len(parts))]
        for folder in folders:
            scope = packages()
            for part in folder:
                scope = scope.names[part]
            same = result.setdefault(folder[-1], [])
            if not any(scope is other for other in same):
                same.append(scope)
    return result


@cache
def identifiers() -> frozenset[str]:
    """Every name in the code, and every word of its string literals, docstrings left out."""
    files = (path for path in source_files() if path.name != "test_references.py")  # names what is not there
    return frozenset().union(*(source(path).words for path in files))


def resolves(dotted: str) -> bool:
    """Whether `a.b.c` exists: from a root, or from any module named `a`."""
    first, *rest = dotted.split(".")
    return any(scope.has(rest) for scope in modules().get(first, []))
