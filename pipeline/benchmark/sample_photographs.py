"""Gray JPEGs for measuring: different photographs of given sizes with film grain, identical every time."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from pipeline.engine.machine import cores
from pipeline.errors import ConfigError

_LARGE, _LARGE_UPRIGHT = (1632, 1224), (1224, 1632)  # 2 megapixels
SIZES: dict[str, list[tuple[int, int]]] = {
    "512": [(512, 512)],
    "2mp": [_LARGE],
    "12mp": [(4000, 3000)],
    "mixed": [
        (512, 512), _LARGE, (512, 384), _LARGE_UPRIGHT, (384, 512), _LARGE,
        (512, 512), (4000, 3000), (512, 384), _LARGE_UPRIGHT, (384, 512), _LARGE,
    ],
}  # fmt: skip
"""(width, height) in pixels of the photographs of a kind, in turn."""

PORTION = {"512": 1.0, "2mp": 0.3, "12mp": 0.06, "mixed": 0.12}
"""Photographs of a kind that are measured for each of 512 x 512, so that no kind takes most of the time."""

_GRAIN = 4.0  # levels of 255; scans have it, and it costs the codecs what theirs costs
_QUALITY = 90


def count_of(size: str, count: int) -> int:
    """How many photographs of this size are measured where there are `count` of 512 x 512; whole turns."""
    turn = len(SIZES[size])
    return max(turn, round(count * PORTION[size] / turn) * turn)


def megapixels(size: str, count: int) -> float:
    """Of the first `count` photographs together."""
    turn = SIZES[size]
    return sum(turn[i % len(turn)][0] * turn[i % len(turn)][1] for i in range(count)) / 1e6


def photographs(samples: Path, folder: Path, size: str, count: int) -> Path:
    """A folder of exactly `count` gray JPEGs of this size, below `folder`; existing files are kept.

    Every file is made once, and shared by links with the folders of other counts.

    Raises:
        ConfigError: there are no samples to cut from.
    """
    sample_files = sorted(path for path in samples.glob("*") if path.suffix in (".jpg", ".png"))
    if not sample_files:
        raise ConfigError(
            f"{samples} has no .jpg or .png to cut photographs from; name a folder with --photos"
        )
    pool, chosen = folder / f"all-{size}", folder / f"{size}-{count}"
    pool.mkdir(parents=True, exist_ok=True)
    chosen.mkdir(exist_ok=True)
    names = [f"{index:06d}.jpg" for index in range(count)]
    missing = [index for index, name in enumerate(names) if not (pool / name).exists()]
    _make_all(sample_files, pool, size, missing)
    for path in chosen.iterdir():
        if path.name not in names:
            path.unlink()
    for name in names:
        if not (chosen / name).exists():
            os.link(pool / name, chosen / name)
    return chosen


def deep_photographs(samples: Path, folder: Path, size: str, count: int) -> Path:
    """The same photographs as gray TIFFs of 16 bits, whose low byte is the scanner's noise; not compressed.

    Raises ConfigError as `photographs`.
    """
    chosen = folder / f"{size}-16-bit-{count}"
    chosen.mkdir(parents=True, exist_ok=True)
    names = []
    for index, path in enumerate(sorted(photographs(samples, folder, size, count).iterdir())):
        target = chosen / f"{path.stem}.tif"
        names.append(target.name)
        if not target.exists():
            with Image.open(path) as image:
                levels = np.asarray(image).astype(np.uint16) * 256
            levels += np.random.default_rng(index).integers(0, 256, levels.shape, np.uint16)
            partial = chosen.with_name(f".{target.name}.part")
            Image.fromarray(levels).save(partial, "TIFF")
            partial.rename(target)
    for path in chosen.iterdir():
        if path.name not in names:
            path.unlink()
    return chosen


def _make_all(samples: list[Path], pool: Path, size: str, indices: Iterable[int]) -> None:
    tasks = [(samples, pool, SIZES[size], index) for index in indices]
    if len(tasks) < 64:  # less work than starting processes
        for task in tasks:
            _make(task)
        return
    with ProcessPoolExecutor(cores()) as processes:
        for _ in processes.map(_make, tasks, chunksize=16):
            pass


def _make(task: tuple[list[Path], Path, list[tuple[int, int]], int]) -> None:
    """One photograph: a sample cut at its own place, mirrored or not, with its own grain."""
    samples, pool, sizes, index = task
    with Image.open(samples[index % len(samples)]) as image:
        gray = image.convert("L")
    turn = index // len(samples)
    place, bleed = ((turn % 7) / 6, (turn % 5) / 4), 0.002 * (turn % 100)
    cut = ImageOps.fit(gray, sizes[index % len(sizes)], Image.Resampling.BICUBIC, bleed, place)
    pixels = np.asarray(ImageOps.mirror(cut) if turn % 2 else cut)
    grain = np.random.default_rng(index).standard_normal(pixels.shape, np.float32) * np.float32(_GRAIN)
    grainy = np.clip(np.rint(pixels + grain), 0, 255).astype(np.uint8)
    partial = pool / f".{index:06d}.part"
    Image.fromarray(grainy).save(partial, "JPEG", quality=_QUALITY)
    partial.rename(pool / f"{index:06d}.jpg")
