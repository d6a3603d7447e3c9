"""A huge master made by libvips, and the least that libvips does to re-encode it as RGB."""

from __future__ import annotations

from pathlib import Path

import pyvips

_GRAIN = 150.0  # levels of 65,536: about that of film scanned at 4,000 dpi; it decides how deflate fares


def make_master(path: Path, height: int, width: int) -> None:
    """Soft shapes under film grain, as a deflate TIFF of 16-bit gray."""
    coarse = pyvips.Image.gaussnoise(width // 600 + 4, height // 600 + 4, sigma=12_000, mean=32_000, seed=1)
    shapes = coarse.resize(600, kernel="cubic").crop(600, 600, width, height)
    grain = pyvips.Image.gaussnoise(width, height, sigma=_GRAIN, mean=0, seed=2)
    image = (shapes + grain).cast("ushort").copy(interpretation="grey16")
    image.tiffsave(str(path), compression="deflate", predictor="horizontal", bigtiff=True)


def reencode(source: str, target: str) -> None:
    """The least work that ends in a file of the same kind: gray three times, deflated."""
    image = pyvips.Image.new_from_file(source, access="sequential")
    rgb = image.bandjoin([image, image]).copy(interpretation="rgb16")
    rgb.tiffsave(target, compression="deflate", predictor="horizontal", bigtiff=True)
