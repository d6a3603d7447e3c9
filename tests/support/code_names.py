"""What the repository's code defines, read from its source: modules, their attributes, every identifier."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests.support.paths import REPO

ROOTS = ("pipeline", "fiat_color", "jobs", "tests")


@dataclass
class Scope:
    """A module or class: what can be written behind its dot."""

    names: dict[str, Scope] = field(default_factory=dict)

    def add(self, name: str) -> Scope:
        """The scope of that name, made where there is none."""
        return self.names.setdefault(name, Scope())

    def join(self, other: Scope) -> None:
        """Add all that the other has."""
        for name, inner in other.names.items():
            self.add(name).join(inner)

    def has(self, parts: list[str]) -> bool:
        """Whether the names lead anywhere, one behind the other."""
        return not parts or (parts[0] in self.names and self.names[parts[0]].has(parts[1:]))


def source_files() -> list[Path]:
    """Every Python file of the project."""
    return sorted(path for root in ROOTS for path in (REPO / root).rglob("*.py"))


@dataclass(frozen=True)
class Source:
    """What a Python file has, read once: its tree and tokens take time, and much memory.

    scope: what it defines; words: every name, and every word of its string literals, docstrings left out;
    prose: docstrings, epilogs and blocks of comments, each with the line on which it begins; arguments: the
    names of all arguments of its functions.
    """

    scope: Scope
    words: frozenset[str]
    prose: tuple[tuple[int, str], ...]
    arguments: frozenset[str]


def tree_of(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def source(path: Path) -> Source:
    """What is in a file."""
    tree, scope = tree_of(path), Scope()
    _define(scope, tree.body)
    docstrings: dict[int, ast.Constant] = {}
    words, arguments = set[str](), set[str]()
    for node in ast.walk(tree):  # from the outside in: an expression before its constant
        match node:
            case ast.Expr(value=ast.Constant(value=str()) as constant):
                docstrings[id(constant)] = constant
            case ast.Constant(value=str(text)) if id(node) not in docstrings:
                words.update(re.findall(r"\w+", text))
            case ast.Constant(value=bytes(data)):
                words.update(re.findall(r"\w+", data.decode("latin-1")))
            case ast.arg(arg=name):
                arguments.add(name)
    prose = [(node.lineno, str(node.value)) for node in docstrings.values()]
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id="EPILOG")], value=ast.Constant(value=str(text))):
                prose.append((statement.lineno, text))
    tokens = list(tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline))
    words.update(token.string for token in tokens if token.type == tokenize.NAME)
    return Source(scope, frozenset(words), (*prose, *_comments(tokens)), frozenset(arguments))


@cache
def packages() -> Scope:
    """The roots `pipeline`, `jobs` and `tests`, with all that lies in them."""
    top = Scope()
    for path in source_files():
        scope = top
        for part in path.relative_to(REPO).with_suffix("").parts:
            if part != "__init__":
                scope = scope.add(part)
        scope.join(source(path).scope)
    return top


def _define(scope: Scope, body: list[ast.stmt]) -> None:
    for statement in body:
        match statement:
            case ast.ClassDef():
                _define(scope.add(statement.name), statement.body)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                scope.add(statement.name)
                for node in ast.walk(statement):
                    _attribute_of_self(scope, node)
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
                _define(scope, statement.body)


def _attribute_of_self(scope: Scope, node: ast.AST) -> None:
    match node:
        case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
            scope.add(name)


@cache
def modules() -> dict[str, list[Scope]]:
    """Every module and package by its last name, and by every longer end of its dotted name."""
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


def _comments(tokens: list[tokenize.TokenInfo]) -> Iterator[tuple[int, str]]:
    begin, block = 0, ""
    for token in tokens:
        if token.type == tokenize.COMMENT:
            begin, block = begin or token.start[0], f"{block}\n{token.string.lstrip('#: ')}"
        elif block and token.type not in (tokenize.NL, tokenize.NEWLINE):
            yield begin, block
            begin, block = 0, ""
    if block:
        yield begin, block


def resolves(dotted: str) -> bool:
    """Whether `a.b.c` leads somewhere: from a root, or from any module whose name is `a`."""
    first, *rest = dotted.split(".")
    return any(scope.has(rest) for scope in modules().get(first, []))
