"""Judge colours by eye without knowing which weights made them: shuffled sheets, and the count of verdicts.

python -m tests.support.blind_look --photos photos/archive --weights faithful,vivid,own --output OUT

writes OUT/sheet-01.png and so on. Each row shows a photograph in gray and coloured with each of the weights,
in an order that only OUT/order.json contains. It also writes OUT/verdicts.csv: enter one of the words
`right`, `brown` (or nearly gray) and `wrong` for each picture. Then

python -m tests.support.blind_look --count OUT

prints how many pictures of each set of weights got each verdict. For two people, or two sessions, make two
copies of OUT. Photographs in folders named `derived` are scans of other photographs, and are left out.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
from collections import Counter
from pathlib import Path

from PIL import Image, ImageOps

from fiat_color import colorize_image
from pipeline.report.grid import GridRow, grid_sheet

VERDICTS = ("right", "brown", "wrong")
SEED = 20
ROWS, HEIGHT = 7, 330
ENDINGS = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp")


def photographs(folder: Path) -> list[Path]:
    """The photographs to judge, by name."""
    files = (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in ENDINGS)
    return [path for path in files if "derived" not in path.relative_to(folder).parts]


def sheets(folder: Path, weights: list[str], output: Path, side: int) -> None:
    """Write the sheets, their order and the empty verdicts."""
    output.mkdir(parents=True)
    letters, shuffled = [chr(ord("A") + place) for place in range(len(weights))], random.Random(SEED)
    rows, order = list[GridRow](), list[dict[str, str]]()
    for number, path in enumerate(photographs(folder), 1):
        with Image.open(path) as opened:
            gray = ImageOps.exif_transpose(opened).convert("L")
        gray.thumbnail((2 * side, 2 * side))
        whose = shuffled.sample(weights, len(weights))
        pictures = [gray.convert("RGB"), *(colorize_image(gray, one, side=side) for one in whose)]
        rows.append(GridRow(pictures, f"{number}"))
        order.append({"row": f"{number}", "photograph": path.relative_to(folder).as_posix()})
        order[-1] |= dict(zip(letters, whose, strict=True))
        print(f"{number}: {order[-1]['photograph']}", flush=True)
    for start in range(0, len(rows), ROWS):
        sheet = grid_sheet(["gray", *letters], rows[start : start + ROWS], HEIGHT)
        sheet.save(output / f"sheet-{start // ROWS + 1:02}.png")
    (output / "order.json").write_text(json.dumps(order, indent=1))
    with (output / "verdicts.csv").open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["row", *letters])
        lines.writerows([one["row"], *([""] * len(letters))] for one in order)


def count(output: Path) -> dict[str, Counter[str]]:
    """Verdicts by weights. Raises SystemExit if a verdict is missing or is another word."""
    order = {one["row"]: one for one in json.loads((output / "order.json").read_text())}
    counts: dict[str, Counter[str]] = {}
    with (output / "verdicts.csv").open(newline="") as file:
        for line in csv.DictReader(file):
            row = line.pop("row")
            for letter, verdict in line.items():
                if verdict not in VERDICTS:
                    wanted = ", ".join(VERDICTS)
                    raise SystemExit(f"row {row}, {letter}: {verdict!r} is none of {wanted}")
                counts.setdefault(order[row][letter], Counter())[verdict] += 1
    return counts


def main() -> None:
    """Write sheets or count."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=Path, metavar="OUT")
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--weights", default="faithful,vivid")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--side", type=int, default=384, help="longest side that the network sees, pixels")
    args = parser.parse_args()
    if args.count:
        for name, verdicts in sorted(count(args.count).items()):
            total = verdicts.total()
            shares = (f"{verdicts[one]} {one} ({verdicts[one] / total:.0%})" for one in VERDICTS)
            print(f"{name}: {', '.join(shares)} of {total}")
        return
    if not args.photos or not args.output:
        parser.error("want --photos and --output, or --count")
    if args.output.exists():
        parser.error(f"{args.output} is there; name another folder, so that no verdicts are lost")
    sheets(args.photos, args.weights.split(","), args.output, args.side)


if __name__ == "__main__":
    main()
