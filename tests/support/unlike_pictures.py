"""Whether `novelty` finds what is not a photograph: `python -m tests.support.unlike_pictures FOLDER`.

From the photographs of a folder it makes negatives, prints through a halftone screen and line drawings; pages
of text and maps are drawn. The colouring job processes all of them and the photographs, and a table shows for
each kind how often its novelty is above a photograph's (AUROC, 95 % interval) and which reasons it got.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

from pipeline.evaluate.bootstrap import interval
from pipeline.evaluate.risk import auroc
from tests.support.job_runner import command, ledger

SEED = 0
RESAMPLES = 2000
WORDS = (
    "river",
    "road",
    "the",
    "of",
    "in",
    "a",
    "old",
    "mill",
    "north",
    "church",
    "and",
    "field",
    "upper",
    "wood",
)
F64 = NDArray[np.float64]


def halftone(photograph: Image.Image) -> Image.Image:
    """Round dots at 45 degrees, five pixels apart, a little out of focus."""
    shade = np.asarray(photograph, float) / 255
    y, x = np.mgrid[: shade.shape[0], : shade.shape[1]] * (2 * np.pi / 5 / np.sqrt(2))
    screen = (np.cos(x + y) + np.cos(x - y)) / 4 + 0.5
    dots = Image.fromarray(np.where(shade > 0.98 * screen + 0.01, 255, 0).astype(np.uint8))
    return dots.filter(ImageFilter.GaussianBlur(0.6))


def line_drawing(photograph: Image.Image) -> Image.Image:
    """Dark lines on white where the photograph has edges."""
    fine, coarse = (
        np.asarray(photograph.filter(ImageFilter.GaussianBlur(radius)), float) for radius in (1, 1.8)
    )
    ink = np.clip(0.25 * np.maximum(0, coarse - fine - 0.8), 0, 1)
    return Image.fromarray((255 * (1 - ink)).astype(np.uint8))


def page_of_text(rng: np.random.Generator) -> Image.Image:
    width, height, size = (int(rng.integers(*span)) for span in ((600, 850), (600, 1000), (14, 26)))
    page = Image.new("L", (width, height), int(rng.integers(225, 250)))
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(size)
    for y in range(40, height - 40, int(1.5 * size)):
        line = " ".join(rng.choice(WORDS, 12))[: int(1.7 * width / size)]
        draw.text((40, y), line, font=font, fill=int(rng.integers(10, 60)))
    return _scanned(page.rotate(rng.normal(0, 0.6), fillcolor=235), rng)


def plan_of_a_town(rng: np.random.Generator) -> Image.Image:
    """A map of streets with names next to them."""
    width, height = 800, 640
    page = Image.new("L", (width, height), 238)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(13)
    for _ in range(14):
        way = rng.normal(0, 9, (2, 60)).cumsum(1) + rng.uniform(0, 700, (2, 1))
        draw.line([tuple(place) for place in way.T], int(rng.integers(20, 140)), int(rng.integers(1, 4)))
    for _ in range(40):
        place = (rng.uniform(0, width), rng.uniform(0, height))
        draw.text(place, str(rng.choice(WORDS)).upper(), font=font, fill=40)
    return _scanned(page, rng)


def _scanned(page: Image.Image, rng: np.random.Generator) -> Image.Image:
    grain = rng.normal(0, 3, (page.height, page.width))
    return Image.fromarray(np.clip(np.asarray(page, float) + grain, 0, 255).astype(np.uint8))


FROM_PHOTOGRAPHS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "negative": ImageOps.invert, "halftone print": halftone, "line drawing": line_drawing,
}  # fmt: skip
DRAWN = {"page of text": page_of_text, "map": plan_of_a_town}


def pictures(folder: Path, of_each: int) -> Iterator[tuple[str, Image.Image]]:
    """Kind and picture, at most 800 pixels long: three photographs for one picture of each other kind."""
    rng = np.random.default_rng(SEED)
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    for number, chosen in enumerate(rng.permutation(len(files))[: 3 * of_each]):
        with Image.open(files[chosen]) as opened:
            photograph = opened.convert("L")
        photograph.thumbnail((800, 800))
        yield "photograph", photograph
        if number < of_each:
            yield from ((kind, make(photograph)) for kind, make in FROM_PHOTOGRAPHS.items())
    for kind, draw in DRAWN.items():
        yield from ((kind, draw(rng)) for _ in range(of_each))


def above(high: F64, low: F64) -> float:
    """AUROC: how often one of `high` is above one of `low`; equal ones count half."""
    is_high = np.repeat([1.0, 0.0], [len(high), len(low)])
    return auroc(np.concatenate([high, low]), is_high, len(high) / len(is_high))


def interval_of(high: F64, low: F64) -> tuple[float, float]:
    """The 95 % interval: percentile bootstrap over the pictures."""
    rng = np.random.default_rng(SEED)
    scores = [above(rng.choice(high, len(high)), rng.choice(low, len(low))) for _ in range(RESAMPLES)]
    return interval(np.array(scores), 0.95)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="gray photographs")
    parser.add_argument("--of-each", type=int, default=20, help="pictures of each kind (%(default)s)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        source, out = Path(made) / "in", Path(made) / "out"
        for number, (kind, picture) in enumerate(pictures(args.folder, args.of_each)):
            (source / kind).mkdir(parents=True, exist_ok=True)
            picture.save(source / kind / f"{number:03d}.png")
        plain = ("--set", "run.engine=processes", "--set", "report.sample=0")
        subprocess.run(command("--input", source, "--output", out, *plain), check=True)
        rows = [row for row in ledger(str(out)) if row["novelty"] is not None]
    novelty = {kind: np.array([]) for kind in ("photograph", *FROM_PHOTOGRAPHS, *DRAWN)}
    for kind in novelty:
        own = [row for row in rows if row["key"].startswith(f"{kind}/")]
        novelty[kind] = np.array([row["novelty"] for row in own])
        text = f"{kind:15}{len(own):5}  novelty {np.median(novelty[kind]):.2f}"
        if kind != "photograph":
            low, high = interval_of(novelty[kind], novelty["photograph"])
            text += f"  AUROC {above(novelty[kind], novelty['photograph']):.2f} [{low:.2f}, {high:.2f}]"
        reasons = [row["doubt_reasons"] or "" for row in own]
        shares = [
            f"{name} {np.mean([name in r for r in reasons]):.0%}"
            for name in ("nearly_gray", "unlike_training")
        ]
        print(f"{text}  {', '.join(shares)}")


if __name__ == "__main__":
    main()
