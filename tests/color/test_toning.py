"""Real colour against toning: made cases, the repo's historical samples, and photographs where present."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipeline.color import spaces
from pipeline.color.toning import REAL_COLOUR_SPREAD, colour_spread
from tests.support.paths import SAMPLES
from tests.support.paths import SHARED_PHOTOS as PHOTOS

Rgb8 = NDArray[np.uint8]
F64 = NDArray[np.float64]


def lightness(size: int = 240) -> F64:
    """A scene's lightness: a gradient, blobs and grain, L* 5 to 95."""
    y, x = np.mgrid[:size, :size] / size
    scene = 50 + 22 * np.sin(7 * x + 3 * y) + 18 * np.cos(11 * y - 5 * x * y)
    return np.asarray(np.clip(scene + np.random.default_rng(2).normal(0, 3, scene.shape), 5, 95))


def photograph(a: F64, b: F64) -> Rgb8:
    L = lightness()
    lab = np.stack([L, np.broadcast_to(a, L.shape), np.broadcast_to(b, L.shape)], axis=-1)
    srgb = spaces.lab_to_srgb(spaces.reduce_chroma_to_gamut(lab))
    return np.asarray(np.round(srgb * 255), dtype=np.uint8)


def toned() -> dict[str, Rgb8]:
    L = lightness()
    middle = L * (100 - L) / 2500
    y, x = np.mgrid[: L.shape[0], : L.shape[1]] / L.shape[0]
    border = np.clip(1 - np.minimum.reduce([x, y, 1 - x, 1 - y]) / 0.15, 0, 1)
    spot = np.hypot(x - 0.4, y - 0.5) < 0.07
    return {
        "gray": photograph(L * 0, L * 0),
        "sepia": photograph(9 * middle, 26 * middle),
        "cyanotype": photograph(-6 * middle, -34 * middle),
        "split": photograph(np.where(L > 50, 1, -1) * 6 * middle, (L - 50) * 0.5),
        "warm scan": photograph(L * 0 + 3, L * 0 + 15),
        "yellowed borders": photograph(3 * border, 2 + 22 * border),
        "faded on one side": photograph(2 * x, 20 * x),
        "stamped": photograph(np.where(spot, 60.0, 1.0), np.where(spot, 30.0, 6.0)),
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind", toned())
def test_toning_and_ageing_are_not_colour(kind: str) -> None:
    assert colour_spread(toned()[kind]) < 0.75 * REAL_COLOUR_SPREAD


def test_real_colour_is_seen() -> None:
    L = lightness()
    y, x = np.mgrid[: L.shape[0], : L.shape[1]] / L.shape[0]
    sky = y < 0.4
    landscape = photograph(np.where(sky, -3.0, -14.0), np.where(sky, -24.0, 26.0))
    assert colour_spread(landscape) > 2 * REAL_COLOUR_SPREAD
    person = np.hypot((x - 0.5) / 0.25, (y - 0.55) / 0.4) < 1
    portrait = photograph(np.where(person, 20.0, -2.0), np.where(person, 18.0, -8.0) + 12 * np.sin(9 * x))
    assert colour_spread(portrait) > REAL_COLOUR_SPREAD


def test_size_does_not_matter_much() -> None:
    y, x = np.mgrid[:240, :240] / 240
    colours = photograph(25 * np.sin(9 * x), 25 * np.cos(8 * y))
    larger = np.asarray(Image.fromarray(colours).resize((1440, 1440), Image.Resampling.BICUBIC))
    assert colour_spread(larger) == pytest.approx(colour_spread(colours), rel=0.1)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 2), (9, 9)])
def test_tiny_images(shape: tuple[int, int]) -> None:
    assert np.isfinite(colour_spread(np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)))
    with pytest.raises(ValueError, match="uint8"):
        colour_spread(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("name", sorted(path.name for path in SAMPLES.glob("*.[jp][pn]g")))
def test_historical_samples_are_not_colour(name: str) -> None:
    with Image.open(SAMPLES / name) as image:
        assert colour_spread(np.asarray(image.convert("RGB"))) < REAL_COLOUR_SPREAD


def spreads(folder: str, wanted: set[str]) -> list[float]:
    manifest = PHOTOS / folder / "manifest.csv"
    if not manifest.exists():
        pytest.skip(f"{folder} photographs are not here")
    with manifest.open(newline="") as rows:
        files = [row["file"] for row in csv.DictReader(rows) if row["file"].split("/")[0] in wanted]
    results = []
    for file in files:
        with Image.open(PHOTOS / folder / file) as image:
            results.append(colour_spread(np.asarray(image.convert("RGB"))))
    return results


@pytest.mark.slow
def test_no_old_photograph_passes_for_colour() -> None:
    assert (
        max(spreads("archive", {"DeOldify", "DDColor", "seeing-lost-enclaves"})) < 0.75 * REAL_COLOUR_SPREAD
    )


def test_most_colour_photographs_are_seen() -> None:
    kodak = np.array(spreads("eval", {"codec-corpus"}))
    assert (kodak > REAL_COLOUR_SPREAD).mean() > 0.7
