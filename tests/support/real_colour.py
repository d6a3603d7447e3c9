"""Black-and-white and toned scans with real colour added, and the real colour that is found in any folder.

python -m tests.support.real_colour FOLDER ...     lists the pictures in which real colour is found
"""

from __future__ import annotations

import io
import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from pipeline.color.real_colour import find_real_colour
from pipeline.color.toning import REAL_COLOUR_SPREAD, colour_spread

U8 = np.ndarray[Any, np.dtype[np.uint8]]

#: sRGB of the fields of a colour target (ColorChecker, average values of BabelColor).
TARGET = (
    ((115, 82, 68), (194, 150, 130), (98, 122, 157), (87, 108, 67), (133, 128, 177), (103, 189, 170)),
    ((214, 126, 44), (80, 91, 166), (193, 90, 99), (94, 60, 108), (157, 188, 64), (224, 163, 46)),
    ((56, 61, 150), (70, 148, 73), (175, 54, 60), (231, 199, 31), (187, 86, 149), (8, 133, 161)),
)
TONES = {
    "gray": (1, 1, 1),
    "sepia": (1.07, 0.95, 0.74),
    "faded": (1.02, 0.97, 0.86),
    "blue": (0.6, 0.85, 1.05),
}


def toned(gray: U8, tone: str) -> U8:
    """uint8[H,W,3]."""
    return np.clip(np.rint(gray[..., None] * np.array(TONES[tone])), 0, 255).astype(np.uint8)


def with_target(rgb8: U8) -> U8:
    """Add a colour target of 18 fields in the lower right corner, a quarter of the width wide."""
    return _drawn(rgb8, _target)


def with_stamp(rgb8: U8) -> U8:
    """Add a red stamp in the upper right corner."""
    return _drawn(
        rgb8, lambda d, w, h: d.rectangle([w - w // 10 - 9, 8, w - 9, 8 + w // 8], fill=(150, 20, 30))
    )


def with_mount(rgb8: U8) -> U8:
    """Add a dark red mount around it, as wide as a fifteenth of its longer side."""
    wide = max(rgb8.shape) // 15
    mounted = np.empty((rgb8.shape[0] + 2 * wide, rgb8.shape[1] + 2 * wide, 3), np.uint8)
    mounted[:] = (120, 20, 25)
    mounted[wide:-wide, wide:-wide] = rgb8
    return mounted


KINDS: dict[str, Callable[[U8], U8]] = {"target": with_target, "stamp": with_stamp, "mount": with_mount}


def with_stains(rgb8: U8) -> U8:
    """Add foxing, a yellowed edge, and bluish silver mirroring along another edge."""
    height, width = rgb8.shape[:2]
    y, x = np.mgrid[:height, :width]
    spots = np.zeros((height, width))
    for number in range(12):
        at = np.random.default_rng(number).random(3) * (height, width, 0.02 * width)
        spots += np.exp(-(((y - at[0]) ** 2 + (x - at[1]) ** 2) / (at[2] + 2) ** 2))
    yellow = np.clip(spots, 0, 1) + np.exp(-x / (0.04 * width))
    blue = np.exp(-(height - y) / (0.05 * height))
    change = yellow[..., None] * (-6, -22, -46) + blue[..., None] * (-14, -4, 12)
    return np.clip(rgb8 + change, 0, 255).astype(np.uint8)


def _drawn(rgb8: U8, draw: Callable[[ImageDraw.ImageDraw, int, int], None]) -> U8:
    image = Image.fromarray(rgb8)
    draw(ImageDraw.Draw(image), image.width, image.height)
    return np.asarray(image)


def _target(draw: ImageDraw.ImageDraw, width: int, height: int) -> None:
    field = width // 24
    left, top = width - 6 * field - 4, height - 3 * field - 4
    for row, colours in enumerate(TARGET):
        for column, colour in enumerate(colours):
            at = (left + column * field, top + row * field)
            draw.rectangle([*at, at[0] + field - 1, at[1] + field - 1], fill=colour)


def find_in(folder: Path) -> tuple[int, list[tuple[str, float]]]:
    """The number of pictures below a folder that Pillow reads, and those with real colour and its share, as
    they are and (name with a note) as JPEGs of quality 30."""
    count, result = 0, []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            with Image.open(path) as opened:
                image = opened.convert("RGB")
        except (OSError, ValueError):
            continue
        count += 1
        small = io.BytesIO()
        image.save(small, "JPEG", quality=30)
        with Image.open(small) as again:
            for name, rgb8 in ((path.name, np.asarray(image)), (f"{path.name} (q30)", np.asarray(again))):
                real = find_real_colour(rgb8) if colour_spread(rgb8) <= REAL_COLOUR_SPREAD else None
                result += [(name, real.share)] if real is not None else []
    return count, result


def find_added(folder: Path) -> dict[str, tuple[int, int]]:
    """For each of KINDS, added to every picture of a folder in every tone: how many are found, of all."""
    counts = dict.fromkeys(KINDS, (0, 0))
    for path in sorted(folder.glob("*.[jp][pn]g")):
        with Image.open(path) as opened:
            gray = opened.convert("L")
        gray.thumbnail((900, 900))
        for kind, tone in itertools.product(KINDS, TONES):
            file = io.BytesIO()
            Image.fromarray(KINDS[kind](toned(np.asarray(gray), tone))).save(file, "JPEG", quality=88)
            with Image.open(file) as output:
                real = find_real_colour(np.asarray(output))
            counts[kind] = (counts[kind][0] + (real is not None), counts[kind][1] + 1)
    return counts


def main(folders: list[str]) -> None:
    """Print what is found."""
    for folder in folders:
        pictures, with_colour = find_in(Path(folder))
        for name, share in with_colour:
            print(f"{share:7.2%}  {name}")
        print(f"{folder}: {pictures} pictures, real colour in {len(with_colour)} of {2 * pictures} versions")
        for kind, (result, of_all) in find_added(Path(folder)).items():
            if of_all:
                print(f"  with a {kind} added, in four tones: found in {result} of {of_all}")


if __name__ == "__main__":
    main(sys.argv[1:])
