"""Real colour in a scan stays unchanged, in memory and in strips, at 8 and 16 bits, and the row says so."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from pipeline.color import spaces
from pipeline.color.real_colour import find_real_colour
from pipeline.config.job import JobConfig, job_digest
from pipeline.config.loading import load
from tests.shard.test_pages import coloured
from tests.support import icc_profiles
from tests.support.real_colour import KINDS, toned, with_mount, with_target
from tests.support.samples import photo

STRIPS = {"memory": "limits.stream_bytes=1GiB", "strips": "limits.stream_bytes=1000"}


def scan(kind: str, tone: str, dtype: type) -> np.ndarray[Any, Any]:
    output = KINDS[kind](toned(photo(240, 330), tone))
    return output if dtype == np.uint8 else output.astype(np.uint16) * 257


def tiff(*pages: np.ndarray[Any, Any], **options: Any) -> bytes:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for page in pages:
            writer.write(page, photometric="rgb", metadata=None, **options)
    return file.getvalue()


def full_mask(scanned: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    eight = scanned if scanned.dtype == np.uint8 else (scanned >> 8).astype(np.uint8)
    real = find_real_colour(eight)
    assert real is not None
    assert real.mask.shape == scanned.shape[:2], "small enough to be looked at as it is"
    return real.mask


@pytest.mark.slow
@pytest.mark.parametrize("way", STRIPS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(("kind", "tone"), [("target", "gray"), ("stamp", "sepia"), ("mount", "faded")])
def test_it_is_left_and_all_else_is_coloured(
    kind: str, tone: str, dtype: type, way: str, tmp_path: Path
) -> None:
    scanned = scan(kind, tone, dtype)
    row, images = coloured(tiff(scanned), tmp_path / "kept", STRIPS[way])
    without, others = coloured(tiff(scanned), tmp_path / "not", STRIPS[way], "model.keep_color=false")
    kept, anew = (tifffile.imread(folder / "album.tif") for folder in (images, others))
    mask, unit = full_mask(scanned), 1 if dtype == np.uint8 else 257
    moved = np.abs(kept.astype(int) - scanned)[mask == 255]
    assert moved.max() <= unit, "within a level"
    np.testing.assert_array_equal(kept[mask == 0], anew[mask == 0])
    assert np.abs(anew.astype(int) - scanned)[mask == 255].max() > 20 * unit
    assert row["max_delta_l"] < (1 if dtype == np.uint8 else 0.1)
    real = find_real_colour(scanned if dtype == np.uint8 else (scanned >> 8).astype(np.uint8))
    assert real is not None
    assert row["real_color_share"] == without["real_color_share"] == pytest.approx(real.share)
    assert f"real colour on {real.share:.1%} of its area was kept" in row["message"]
    assert "model.keep_color is false" in without["message"]
    lightness = [spaces.srgb_to_lab(one / np.iinfo(dtype).max)[..., 0] for one in (kept, scanned)]
    assert np.abs(lightness[0] - lightness[1]).max() < (1 if dtype == np.uint8 else 0.1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_memory_and_strips_agree(kind: str, tmp_path: Path) -> None:
    data = tiff(
        scan(kind, "faded", np.uint8), scan("stamp", "gray", np.uint16), toned(photo(90, 70), "sepia")
    )
    here, images = coloured(data, tmp_path / "memory", STRIPS["memory"])
    there, streamed = coloured(data, tmp_path / "strips", STRIPS["strips"])
    for column in ("real_color_share", "message", "pages"):
        assert here[column] == there[column], column
    assert here["message"].count("page ") == 2
    for page in range(3):
        one, two = (tifffile.imread(folder / "album.tif", key=page) for folder in (images, streamed))
        assert np.abs(one.astype(int) - two).max() <= (1 if one.dtype == np.uint8 else 257)


def test_a_profile_is_kept_beside_it(tmp_path: Path) -> None:
    scanned = with_target(toned(photo(240, 330), "gray"))
    profile = icc_profiles.matrix_profile([icc_profiles.gamma_curve(2.2)] * 3)
    row, images = coloured(tiff(scanned, iccprofile=profile), tmp_path)
    with Image.open(images / "album.tif") as opened:
        assert opened.info["icc_profile"] == profile
        kept = np.asarray(opened)
    mask = full_mask(scanned)
    assert row["real_color_share"] > 0.01
    # colours that sRGB cannot hold lose chroma there, as all that is composed
    assert np.median(np.abs(kept.astype(int) - scanned)[mask == 255]) <= 1


@pytest.mark.slow
def test_gray_has_none_and_a_colour_photograph_is_no_scan(tmp_path: Path) -> None:
    row, _ = coloured(tiff(toned(photo(90, 70), "gray")), tmp_path / "gray")
    assert (row["real_color_share"], row["message"]) == (0, None)
    vivid = np.random.default_rng(2).integers(0, 256, (8, 8, 3), np.uint8).repeat(20, 0).repeat(20, 1)
    for way, setting in STRIPS.items():
        row, _ = coloured(tiff(vivid), tmp_path / way, setting, "model.skip_color=false")
        assert (row["status"], row["real_color_share"]) == ("colorized", None)


@pytest.mark.slow
def test_what_alpha_hides_is_not_looked_at(tmp_path: Path) -> None:
    scanned = with_mount(toned(photo(240, 330), "gray"))
    alpha = np.zeros(scanned.shape[:2], np.uint8)
    alpha[30:-30, 30:-30] = 255
    data = tiff(np.dstack([scanned, alpha]), extrasamples=["unassalpha"])
    for way, setting in STRIPS.items():
        row, _ = coloured(data, tmp_path / way, setting)
        assert row["real_color_share"] == 0, way


def test_ledgers_from_before_the_setting_stay_good() -> None:
    def digest(*settings: str) -> str:
        return job_digest(load(JobConfig, None, list(settings)), "w")

    assert digest() == digest("model.keep_color=true") != digest("model.keep_color=false")
