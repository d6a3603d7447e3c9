"""Contact sheets of every guided method on archive photographs, with guides that a person made for them.

python -m tests.support.guided_sheet

One real job (`jobs/colorize_bucket.py`) colours four photographs of `tests/photos` once for each column,
with the guides files of `tests/photo_guides`; the sheets are written to `docs/guided`. It takes two minutes.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from pipeline.report.grid import GridRow, grid_sheet
from tests.support.job_runner import run
from tests.support.paths import REPO

PHOTOS = REPO / "tests" / "photos"
GUIDES = REPO / "tests" / "photo_guides"
SHEETS = REPO / "docs" / "guided"
WEIGHTS = "faithful"  # of the columns without a method of their own
OBJECTS = ("scribbles", "reference", "style")  # columns of a guides file that name pictures

# By heading: the guides file that a column is coloured after (None: without guides), or what it shows
# uncoloured, as (guides file, its column).
Column = str | tuple[str, str] | None
DRAWN: dict[str, Column] = {
    "Input": ("points", "key"),
    "Automatic": None,
    "Points (drawn larger)": ("points", "points"),
    "Points over automatic": "points",
    "Scribbles": ("scribbles", "scribbles"),
    "Scribbles alone: scribble": "scribbles",
}
BORROWED: dict[str, Column] = {
    "Input": ("points", "key"),
    "Reference": ("reference", "reference"),
    "reference": "reference",
    "welsh": "welsh",
    "Style": ("style", "style"),
    "iizuka without style": "iizuka",
    "iizuka with style": "style",
}
HEIGHT, MOST_BYTES = 230, 400_000


def rows(name: str) -> dict[str, dict[str, Any]]:
    """The rows of a guides file, by key."""
    lines = (GUIDES / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return {row["key"]: row for row in map(json.loads, lines)}


def prepare(folder: Path) -> None:
    """IN/COLUMN/PHOTOGRAPH for each column that is coloured, and one guides file for all of them."""
    lines = []
    for column in [*DRAWN.values(), *BORROWED.values()]:
        if isinstance(column, tuple):
            continue
        name = column or "automatic"
        (folder / "in" / name).mkdir(parents=True)
        for key, row in rows(column or "points").items():
            shutil.copy(PHOTOS / key, folder / "in" / name / key)
            placed = {kind: str(GUIDES / row[kind]) for kind in OBJECTS if kind in row}
            if column:
                lines.append(json.dumps(row | placed | {"key": f"{name}/{key}"}))
    (folder / "guides.jsonl").write_text("\n".join(lines), encoding="utf-8")


def color(folder: Path) -> None:
    """Run the job. Raises RuntimeError with its output if it did not colour everything."""
    done = run(
        *("--input", folder / "in", "--output", folder / "out", "--guides", folder / "guides.jsonl"),
        *("--weights", WEIGHTS, "--set", "output.format=png", "--set", "report.sample=0"),
        timeout=900,
    )
    if done.returncode:
        raise RuntimeError(f"the job ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def over(photo: Image.Image, drawn: Image.Image) -> Image.Image:
    """The photograph with the drawing on top."""
    laid = photo.convert("RGBA")
    laid.alpha_composite(drawn.convert("RGBA").resize(photo.size))
    return laid.convert("RGB")


def dots(photo: Image.Image, points: list[tuple[float, float, str, float]]) -> Image.Image:
    """The points as discs with a white ring, because they are small."""
    laid = photo.convert("RGB")
    draw = ImageDraw.Draw(laid)
    for x, y, rgb, radius in points:
        draw.circle((x, y), radius + 3, fill=rgb, outline="white", width=2)
    return laid


def picture(column: Column, key: str, out: Path) -> Image.Image:
    """One cell of a sheet."""
    if not isinstance(column, tuple):
        return Image.open(out / "images" / (column or "automatic") / f"{key}.png")
    photo, (name, kind) = Image.open(PHOTOS / key), column
    value = rows(name)[key][kind]
    if kind == "key":
        return photo
    if kind == "points":
        return dots(photo, value)
    given = Image.open(GUIDES / value)
    return over(photo, given) if kind == "scribbles" else given


def write(name: str, columns: dict[str, Column], title: str, out: Path) -> Path:
    """Write one sheet, in the best quality that MOST_BYTES allows."""
    lines = [GridRow([picture(c, key, out) for c in columns.values()], key) for key in rows("points")]
    sheet, file = grid_sheet(list(columns), lines, HEIGHT, title), SHEETS / f"{name}.jpg"
    SHEETS.mkdir(exist_ok=True)
    for quality in range(92, 40, -3):
        sheet.save(file, quality=quality, subsampling=0, optimize=True)
        if file.stat().st_size < MOST_BYTES:
            return file
    raise RuntimeError(f"{file} is too large")


def main() -> int:
    """Colour, write the sheets, and print where they are."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare(folder)
        color(folder)
        for sheet in (
            write("drawn", DRAWN, "Points and scribbles", folder / "out"),
            write("borrowed", BORROWED, "Reference and borrowed style", folder / "out"),
        ):
            print(sheet.relative_to(REPO), sheet.stat().st_size, "bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
