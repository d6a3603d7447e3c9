"""ARCHITECTURE.md shows the packages as the code has them; every package says in a sentence what it is."""

from __future__ import annotations

import ast
import re

import pytest

from tests.support import architecture, code_names
from tests.support.paths import REPO

PACKAGES = sorted((REPO / "pipeline").rglob("__init__.py"))


@pytest.fixture(scope="module")
def page() -> str:
    return architecture.PAGE.read_text(encoding="utf-8")


def test_the_drawing_is_what_the_command_draws(page: str) -> None:
    assert architecture.replaced(page) == page, "python -m tests.support.architecture --write"


def test_the_drawing_has_every_package_and_every_arrow() -> None:
    packages = [package for layer in architecture.layers() for package in layer]
    there = {path.stem for path in (REPO / "pipeline").iterdir() if path.suffix == ".py"} - {"__init__"}
    there |= {path.parent.name for path in (REPO / "pipeline").glob("*/__init__.py")}
    assert set(packages) == there | {"jobs"}
    arrows, _ = architecture.arrows(packages)
    assert architecture.drawing().count("●") == sum(len(to) for to in arrows.values())
    assert "storage" in arrows["ledger"]


def test_a_package_that_imports_upwards_is_refused() -> None:
    with pytest.raises(ValueError, match="ledger imports run, which is not below it"):
        architecture.check({"run": frozenset(), "ledger": frozenset({"run"})}, ["run", "ledger"])


def test_the_table_has_every_package_once(page: str) -> None:
    packages = {package for layer in architecture.layers() for package in layer}
    rows = re.findall(r"^\| `(\w+)(?:/|\.py)` \|", page, re.MULTILINE)
    assert sorted(rows) == sorted(packages)


def test_what_a_package_must_never_know_it_does_not_import(page: str) -> None:
    packages = [package for layer in architecture.layers() for package in layer]
    to, knows_ray = architecture.arrows(packages)
    never = dict(re.findall(r"^\| `(\w+)(?:/|\.py)` \|[^|]*\| ?([^|]*)\|$", page, re.MULTILINE))
    assert set(never) == set(packages)
    for package, words in never.items():
        assert to[package].isdisjoint(re.findall(r"`(\w+)`", words)), package
    assert {package for package, words in never.items() if "Ray" in words} == set(packages) - knows_ray - {
        "jobs",
        "benchmark",
    }


def test_the_steps_name_functions_that_are_in_their_files(page: str) -> None:
    pairs = re.findall(r"`([\w/]+\.py)`\s+`(\w+)`", page)
    pairs += re.findall(r"`([\w/]+\.py)`\s+`\w+`\s+and\s+`(\w+)`", page)
    assert len(pairs) > 20
    for file, name in pairs:
        tree = code_names.tree_of(REPO / "pipeline" / file)
        defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef | ast.FunctionDef)}
        assert name in defined, f"{file} has no {name}"


def test_the_page_is_short(page: str) -> None:
    assert len(page.splitlines()) < 200


@pytest.mark.parametrize("file", PACKAGES, ids=lambda file: ".".join(file.relative_to(REPO).parts[:-1]))
def test_every_package_begins_with_a_sentence(file) -> None:
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
    assert docstring, "it has no docstring"
    first, _, rest = docstring.partition("\n")
    assert rest == "" or rest.startswith("\n"), "the first line must be a sentence of its own"
    assert re.match(r"[A-Z]\S* .+ \S+.*\.$", first), "it must be a sentence that ends with a full stop"
    assert not re.search(r"TODO|FIXME|;.*;", first)


def test_the_index_of_the_docs_has_every_page() -> None:
    docs = REPO / "docs"
    index = (docs / "README.md").read_text(encoding="utf-8")
    linked = re.findall(r"^\| \[([^\]]+)\]\(\1\) \|", index, re.MULTILINE)
    pages = {str(path.relative_to(docs)) for path in docs.rglob("*.md")} - {"README.md"}
    assert sorted(linked) == sorted(pages)
