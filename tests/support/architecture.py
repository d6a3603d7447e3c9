"""The diagram in ARCHITECTURE.md: the layers of `pipeline/` and their imports, read from the code.

python -m tests.support.architecture            # print it
python -m tests.support.architecture --write    # put it into ARCHITECTURE.md
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Mapping

import grimp

from tests.support.paths import REPO

PAGE = REPO / "ARCHITECTURE.md"
BEGIN = "<!-- drawn by `python -m tests.support.architecture --write` -->"
END = "<!-- end of the drawing -->"
ENGINE = "ray"

Arrows = Mapping[str, frozenset[str]]
"""By package, the packages that its modules import directly."""


def layers() -> list[list[str]]:
    """The packages of each layer, highest layer first, as in the import contract of pyproject.toml."""
    with (REPO / "pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    (contract,) = [c["layers"] for c in contracts if c.get("containers") == ["pipeline"]]
    return [["jobs"], *([package.strip() for package in layer.split("|")] for layer in contract)]


def arrows(packages: list[str]) -> tuple[Arrows, frozenset[str]]:
    """Which package imports which, and which packages import Ray directly."""
    graph = grimp.build_graph("pipeline", "jobs", include_external_packages=True, cache_dir=None)
    result: dict[str, set[str]] = {package: set() for package in packages}
    knows_ray = set()
    for module in graph.modules:
        if (package := _package(module)) is None:
            continue
        for imported in graph.find_modules_directly_imported_by(module):
            if imported == ENGINE:
                knows_ray.add(package)
            elif (other := _package(imported)) not in (None, package):
                result[package].add(str(other))
    return {package: frozenset(to) for package, to in result.items()}, frozenset(knows_ray)


def _package(module: str) -> str | None:
    """For `pipeline.shard.worker`: shard; for a job: jobs; for any other package: None."""
    root, _, rest = module.partition(".")
    return root if root == "jobs" else (rest.partition(".")[0] or None) if root == "pipeline" else None


def check(to: Arrows, packages: list[str]) -> None:
    """Raises ValueError for an arrow that does not point downwards: the diagram cannot show it."""
    for i, package in enumerate(packages):
        for other in sorted(to[package] - set(packages[i + 1 :])):
            raise ValueError(f"{package} imports {other}, which is not below it")


def drawing() -> str:
    """One row per package: a line leads right to a dot for each import, then down to the imported package."""
    by_layer = layers()
    packages = [package for layer in by_layer for package in layer]
    layer_of = {package: len(by_layer) - i for i, layer in enumerate(by_layer) for package in layer}
    to, knows_ray = arrows(packages)
    check(to, packages)
    lines, last = [], 0
    for i, package in enumerate(packages):
        number = f"{layer_of[package]:2}" if layer_of[package] != last else "  "
        last = layer_of[package]
        ray = "*" if package in knows_ray else " "
        lines.append(f"{number}  {package:<12}{ray} {_lanes(packages, to, i)}".rstrip())
    return "\n".join(lines) + "\n"


def _lanes(packages: list[str], to: Arrows, row: int) -> str:
    targets = [j for j, package in enumerate(packages) if package in to[packages[row]]]
    furthest = max(targets, default=row)
    cells = []
    for column, package in enumerate(packages):
        line = row < column <= furthest
        lane = column > row and any(package in to[above] for above in packages[:row])
        mark = "■" if column == row else "●" if column in targets else " ─│┼"[line + 2 * lane]
        cells.append(mark + ("─" if row <= column < furthest else " "))
    return "".join(cells)


def block() -> str:
    """The text of the page between its two marks, including the marks."""
    return f"{BEGIN}\n```text\n{drawing()}```\n{END}"


def replaced(page: str) -> str:
    """The page with an updated diagram."""
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    if not pattern.search(page):
        raise ValueError(f"{PAGE.name} has no {BEGIN!r} and {END!r}")
    return pattern.sub(lambda _: block(), page)


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print(drawing(), end="")
