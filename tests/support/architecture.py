"""The drawing of ARCHITECTURE.md: the floors of `pipeline/` and who imports whom, read from the code.

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
"""By room, the rooms that its modules import directly."""


def floors() -> list[list[str]]:
    """The rooms of each floor, the highest floor first, as the import contract of pyproject.toml has them."""
    with (REPO / "pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    (layers,) = [c["layers"] for c in contracts if c.get("containers") == ["pipeline"]]
    return [["jobs"], *([room.strip() for room in layer.split("|")] for layer in layers)]


def arrows(rooms: list[str]) -> tuple[Arrows, frozenset[str]]:
    """Who imports whom, and which rooms import Ray themselves."""
    graph = grimp.build_graph("pipeline", "jobs", include_external_packages=True, cache_dir=None)
    result: dict[str, set[str]] = {room: set() for room in rooms}
    knows_ray = set()
    for module in graph.modules:
        if (room := _room(module)) is None:
            continue
        for imported in graph.find_modules_directly_imported_by(module):
            if imported == ENGINE:
                knows_ray.add(room)
            elif (other := _room(imported)) not in (None, room):
                result[room].add(str(other))
    return {room: frozenset(to) for room, to in result.items()}, frozenset(knows_ray)


def _room(module: str) -> str | None:
    """Of `pipeline.shard.worker`: shard; of a job: jobs; of another package: None."""
    root, _, rest = module.partition(".")
    return root if root == "jobs" else (rest.partition(".")[0] or None) if root == "pipeline" else None


def check(to: Arrows, rooms: list[str]) -> None:
    """Raises ValueError for an arrow that does not point downwards: the drawing has no place for it."""
    for i, room in enumerate(rooms):
        for other in sorted(to[room] - set(rooms[i + 1 :])):
            raise ValueError(f"{room} imports {other}, which is not below it")


def drawing() -> str:
    """One row a room: a line leads right to a dot for each room that it imports, then down to that room."""
    by_floor = floors()
    rooms = [room for floor in by_floor for room in floor]
    floor_of = {room: len(by_floor) - i for i, floor in enumerate(by_floor) for room in floor}
    to, knows_ray = arrows(rooms)
    check(to, rooms)
    lines, last = [], 0
    for i, room in enumerate(rooms):
        number = f"{floor_of[room]:2}" if floor_of[room] != last else "  "
        last = floor_of[room]
        ray = "*" if room in knows_ray else " "
        lines.append(f"{number}  {room:<12}{ray} {_lanes(rooms, to, i)}".rstrip())
    return "\n".join(lines) + "\n"


def _lanes(rooms: list[str], to: Arrows, row: int) -> str:
    targets = [j for j, room in enumerate(rooms) if room in to[rooms[row]]]
    furthest = max(targets, default=row)
    cells = []
    for column, room in enumerate(rooms):
        line = row < column <= furthest
        lane = column > row and any(room in to[above] for above in rooms[:row])
        mark = "■" if column == row else "●" if column in targets else " ─│┼"[line + 2 * lane]
        cells.append(mark + ("─" if row <= column < furthest else " "))
    return "".join(cells)


def block() -> str:
    """What stands in the page between its two marks, with them."""
    return f"{BEGIN}\n```text\n{drawing()}```\n{END}"


def replaced(page: str) -> str:
    """The page with its drawing drawn anew."""
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    if not pattern.search(page):
        raise ValueError(f"{PAGE.name} has no {BEGIN!r} and {END!r}")
    return pattern.sub(lambda _: block(), page)


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print(drawing(), end="")
