"""A file gives the same result in memory and in strips: TIFFs of every kind, generated and real."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.icc_profiles import l_star
from tests.support.paths import SHARED
from tests.support.samples import photo
from tests.support.tiff_product import Kind, difference, file_of, in_memory, in_strips, sample

CASES = SHARED / "cases"
ARCHIVE = SHARED / "photos" / "archive"


def upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """By EXIF 3.0, 4.6.5.1.6: what is the first row and the first column of the stored picture."""
    turned = array.swapaxes(0, 1) if orientation >= 5 else array
    turned = turned[:, ::-1] if orientation in (2, 3, 6, 7) else turned
    return turned[::-1] if orientation in (3, 4, 7, 8) else turned


def truth(kind: Kind) -> np.ndarray:
    """L* of the colours as they were given to the writer, for kinds without profile and tag."""
    most = 255 if kind["depth"] == 8 else 65535
    seeds = (3, 4, 5) if kind["photometric"] == "rgb" else (3,)
    planes = [(photo(56, 40, seed).astype(np.float64) / 255 * most).astype(int) / most for seed in seeds]
    if kind["photometric"] == "miniswhite":
        planes = [1 - plane for plane in planes]
    if kind["photometric"] == "palette":
        planes = [1 - np.floor(planes[0] * 255 + 0.5) / 255]
    linear = [np.where(p <= 0.04045, p / 12.92, ((p + 0.055) / 1.055) ** 2.4) for p in planes]
    weights = (0.2126, 0.7152, 0.0722) if len(planes) == 3 else (1.0,)
    y = sum(weight * light for weight, light in zip(weights, linear, strict=True))
    return upright(l_star(np.asarray(y)), kind["orientation"])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_generated_tiffs_are_read_alike_and_rightly(seed: int, tmp_path: Path) -> None:
    checked = 0
    for kind in sample(40, seed + 11):
        data = file_of(kind)
        one = in_memory(data)
        assert difference(one, in_strips(data, tmp_path)) is None, str(kind)
        plain = kind["profile"] == "none" and kind["tag"] == "none"
        # colours that were multiplied by alpha are rounded, and under none of it they are lost
        if one.failure is None and plain and kind["extra"] != (1,):
            assert one.l_u16 is not None
            assert np.abs(one.l_u16 / 655.35 - truth(kind)).max() < 0.4, str(kind)
            checked += 1
        if one.failure is None:
            alpha = kind["extra"] in ((1,), (2,), (0, 2)) and kind["alpha"] == "varied"
            assert (one.alpha is not None) == alpha, str(kind)
            left_out = kind["extra"] in ("untagged", (0,), (0, 2)) or kind["alpha"] == "nothing"
            assert left_out == ("left out" in (one.note or "")), str(kind)
            assert (kind["thumbnail"] != "none") == any("tiff: " in change for change in one.changes)
    assert checked > 0


@pytest.mark.skipif(not CASES.is_dir(), reason="the shelf of cases is not here")
def test_the_cases_of_the_shelf_are_read_alike(tmp_path: Path) -> None:
    files = sorted(path for path in CASES.rglob("*") if path.suffix == ".tif" and path.name[:2] != "._")
    assert files
    for path in files:
        data = path.read_bytes()
        one = in_memory(data)
        assert one.failure is None, path
        assert difference(one, in_strips(data, tmp_path)) is None, path


@pytest.mark.skipif(not ARCHIVE.is_dir(), reason="the archive photographs are not here")
def test_the_tiffs_of_the_archive_are_read_alike(tmp_path: Path) -> None:
    files = sorted(path for path in ARCHIVE.rglob("*") if path.suffix.lower() in (".tif", ".tiff"))
    for path in files:
        data = path.read_bytes()
        if len(data) < 8 * 2**20:
            message = difference(in_memory(data), in_strips(data, tmp_path))
            assert message is None, f"{path.name}: {message}"
