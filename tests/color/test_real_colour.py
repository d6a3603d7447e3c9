"""Real colour is found in gray and toned scans, and nothing in those that have none."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.color.real_colour import find_real_colour
from tests.support.paths import SHARED
from tests.support.real_colour import KINDS, TARGET, TONES, find_in, toned, with_stains
from tests.support.samples import photo

ARCHIVE = SHARED / "photos" / "archive"


@pytest.mark.slow
@pytest.mark.parametrize("tone", TONES)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_real_is_found_where_it_is(tone: str, kind: str) -> None:
    rgb8 = toned(photo(500, 700), tone)
    output = KINDS[kind](rgb8)
    real = find_real_colour(output)
    assert real is not None
    changed = output.shape != rgb8.shape or np.any(output != rgb8, axis=2)
    if kind == "mount":
        changed = np.ones(output.shape[:2], bool)
        changed[46:-46, 46:-46] = False
    assert real.share == pytest.approx(np.mean(changed), rel=0.35)
    down, across = real.box(*output.shape[:2])
    outside = np.array(changed)
    outside[down, across] = False
    assert not outside.any()
    rows, columns = (np.arange(n) * m // n for n, m in zip(output.shape[:2], real.mask.shape, strict=True))
    full = real.mask[rows][:, columns]
    assert np.mean(full[changed] == 255) > (0.6 if kind == "target" else 0.9)
    far = np.ones(output.shape[:2], bool)
    far[down, across] = False
    assert not full[far].any()


@pytest.mark.parametrize("tone", TONES)
def test_tones_and_stains_are_none(tone: str) -> None:
    rgb8 = toned(photo(500, 700), tone)
    assert find_real_colour(rgb8) is None
    assert find_real_colour(with_stains(rgb8)) is None


def test_what_is_narrow_or_too_small_is_none() -> None:
    rgb8 = toned(photo(500, 700), "gray")
    rgb8[:, 300] = TARGET[0][2]  # a fringe
    rgb8[20:24, 20:24] = (200, 0, 0)
    assert find_real_colour(rgb8) is None


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 400, 3), (7, 7, 3), (400, 3, 3)])
def test_any_size_has_an_answer(shape: tuple[int, ...]) -> None:
    find_real_colour(np.random.default_rng(1).integers(0, 256, shape, np.uint8))
    with pytest.raises(ValueError, match="expected uint8"):
        find_real_colour(np.zeros(shape[:2], np.uint8))


@pytest.mark.skipif(not ARCHIVE.is_dir(), reason="the archive photographs are not here")
def test_no_archive_photograph_has_any() -> None:
    count, result = find_in(ARCHIVE / "face-oldpics")
    assert (count, result) == (count, [])
    assert count > 5
