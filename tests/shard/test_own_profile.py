"""A result keeps its source's profile, or is sRGB, by one rule: in memory and in strips, page by page."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from tests.shard.test_pages import coloured
from tests.support import icc_profiles
from tests.support.real_colour import toned, with_stamp
from tests.support.samples import photo

PROFILES = {
    "Adobe RGB": icc_profiles.matrix_profile([icc_profiles.gamma_curve(2.2)] * 3),
    "ProPhoto": icc_profiles.matrix_profile([icc_profiles.gamma_curve(1.8)] * 3, icc_profiles.PROPHOTO),
    "linear": icc_profiles.matrix_profile([icc_profiles.gamma_curve(1.0)] * 3),
}
STRIPS = "limits.stream_bytes=1000"
SECOND = "output.derivative={format: jpeg, side: 64}"


def page(bits: int, seed: int = 3) -> np.ndarray[Any, Any]:
    rgb8 = with_stamp(toned(photo(200, 260, seed=seed), "gray")).copy()
    rgb8[:, :20] = np.linspace(0, 255, 200).astype(np.uint8)[:, None, None]
    if bits == 8:
        return rgb8
    deep = rgb8.astype(np.uint16) * 257
    deep[:, :20] = np.linspace(0, 4000, 200).astype(np.uint16)[:, None, None]
    return deep


def tiff(*pages: tuple[np.ndarray[Any, Any], bytes]) -> bytes:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for array, icc in pages:
            writer.write(array, photometric="rgb", iccprofile=icc, metadata=None)
    return file.getvalue()


def written(path: Path) -> list[tuple[bytes, np.ndarray[Any, Any]]]:
    with tifffile.TiffFile(path) as file:
        return [(one.tags[34675].value, one.asarray()) for one in file.pages]  # type: ignore[union-attr]


def assert_alike(
    data: bytes, tmp_path: Path, *settings: str
) -> tuple[dict[str, Any], list[tuple[bytes, Any]]]:
    """The row and the pages in memory, of which those in strips differ by a level at most."""
    here, images = coloured(data, tmp_path / "memory", SECOND, *settings)
    there, streamed = coloured(data, tmp_path / "strips", SECOND, STRIPS, *settings)
    for column in ("message", "metadata_changes", "real_color_share"):
        assert here[column] == there[column], column
    assert here["max_delta_l"] == pytest.approx(there["max_delta_l"], abs=1e-3)
    assert here["colorfulness"] == pytest.approx(there["colorfulness"], abs=1e-2)
    pages = written(images / "album.tif")
    for (icc, one), (other_icc, two) in zip(pages, written(streamed / "album.tif"), strict=True):
        assert icc == other_icc
        assert np.abs(one.astype(int) - two).max() <= (1 if one.dtype == np.uint8 else 257)
    return here, pages


@pytest.mark.slow
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_that_holds_the_lightness_is_kept(name: str, bits: int, tmp_path: Path) -> None:
    row, ((icc, _),) = assert_alike(tiff((page(bits), PROFILES[name])), tmp_path)
    assert icc == PROFILES[name]
    assert "written as sRGB" not in str(row["message"])
    assert row["max_delta_l"] < (1 if bits == 8 else 0.1)


@pytest.mark.slow
def test_one_that_does_not_hold_it_gives_way_to_srgb(tmp_path: Path) -> None:
    """Of 16 bits of linear light, 8 are too few in the dark."""
    data = tiff((page(16), PROFILES["linear"]))
    row, ((icc, pixels),) = assert_alike(data, tmp_path, "output.depth=8")
    assert (icc in PROFILES.values(), pixels.dtype) == (False, np.uint8)
    assert "written as sRGB: its profile cannot hold the lightness in 8 bit" in row["message"]
    assert row["max_delta_l"] < 1


@pytest.mark.slow
def test_of_several_pages_each_has_its_own(tmp_path: Path) -> None:
    adobe, linear = (PROFILES[name] for name in ("Adobe RGB", "linear"))
    data = tiff((page(16), linear), (page(8, 5), adobe), (page(8), linear))
    row, pages = assert_alike(data, tmp_path, "output.depth=8")
    assert [icc in PROFILES.values() for icc, _ in pages] == [False, True, True]
    assert row["message"].count("written as sRGB") == 1


@pytest.mark.slow
def test_the_second_file_of_a_master_has_the_profile_too(tmp_path: Path) -> None:
    row, _ = coloured(tiff((page(8), PROFILES["Adobe RGB"])), tmp_path, SECOND, STRIPS)
    assert PROFILES["Adobe RGB"] in (tmp_path / "out" / row["derivative_key"]).read_bytes()
