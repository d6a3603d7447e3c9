"""Masters read in strips: the lightness of every layout, and a message if a file cannot be streamed."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from pipeline.codecs.masters import Master
from pipeline.codecs.metadata.block import ResultMetadata
from pipeline.codecs.metadata.profiles import srgb_profile
from pipeline.codecs.tiff.writer import tiff_bytes
from pipeline.color import spaces
from pipeline.errors import FailureCode, ImageFailure
from tests.codecs.test_in_memory import wide_profile
from tests.codecs.tiff.test_writer import XMP, exif_block

SIZE = (300, 130)
MANY = 10**9


def ramp(dtype: type, bands: int = 1) -> np.ndarray:
    rng = np.random.default_rng(5)
    return rng.integers(0, np.iinfo(dtype).max + 1, (*SIZE, bands) if bands > 1 else SIZE, dtype)


def lightness(srgb: np.ndarray) -> np.ndarray:
    srgb = srgb if srgb.ndim == 3 else np.repeat(srgb[..., None], 3, axis=2)
    return spaces.srgb_to_lab(srgb / np.iinfo(srgb.dtype).max)[..., 0]


def whole(master: Master) -> tuple[np.ndarray, np.ndarray | None]:
    parts = list(master.strips())
    alphas = [alpha for _, alpha in parts if alpha is not None]
    return np.concatenate([l_u16 for l_u16, _ in parts]), np.concatenate(alphas) if alphas else None


@pytest.fixture(autouse=True)
def _many_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.codecs.masters.STRIP_PIXELS", 7 * SIZE[1])


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("bands", [1, 2, 3, 4])
@pytest.mark.parametrize("layout", [{}, {"tile": (64, 48)}, {"bigtiff": True, "compression": "zlib"}])
def test_lightness_and_alpha_of_every_layout(tmp_path: Path, dtype: type, bands: int, layout: dict) -> None:
    pixels, path = ramp(dtype, bands), tmp_path / "a.tif"
    extra = {"extrasamples": ["unassalpha"]} if bands in (2, 4) else {}
    kind = "minisblack" if bands < 3 else "rgb"
    tifffile.imwrite(
        path, pixels, photometric=kind, planarconfig="contig" if bands > 1 else None, **extra, **layout
    )
    master = Master(path, pixels=MANY)
    assert (master.info.height, master.info.width, master.info.depth) == (*SIZE, 8 * pixels.itemsize)
    colours = pixels if bands == 1 else pixels[..., 0] if bands == 2 else pixels[..., :3]
    result, alpha = whole(master)
    assert np.abs(result / spaces.L_U16_SCALE - lightness(colours)).max() < 0.006  # libvips rounds the matrix
    if bands in (2, 4):
        np.testing.assert_array_equal(alpha, pixels[..., -1])
        assert alpha is not None
        assert alpha.dtype == dtype
    else:
        assert alpha is None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_white_is_zero_where_the_tag_says_so_and_orientation_is_applied(tmp_path: Path, dtype: type) -> None:
    pixels, path = ramp(dtype), tmp_path / "a.tif"
    orientation = (274, "H", 1, 6, True)
    tifffile.imwrite(path, pixels, photometric="miniswhite", extratags=[orientation], compression="zlib")
    master = Master(path, pixels=MANY)
    assert (master.info.width, master.info.height) == SIZE
    wanted = np.rot90(np.iinfo(dtype).max - pixels, -1)
    assert np.abs(whole(master)[0] / spaces.L_U16_SCALE - lightness(wanted)).max() < 0.003


def test_profiles_are_honoured(tmp_path: Path) -> None:
    wide = tmp_path / "wide.tif"
    pixels = ramp(np.uint8, 3)
    wide.write_bytes(tiff_bytes(pixels, ResultMetadata(wide_profile(), XMP)))
    srgb = ImageCms.profileToProfile(
        Image.fromarray(pixels), ImageCms.ImageCmsProfile(io.BytesIO(wide_profile())),
        ImageCms.ImageCmsProfile(io.BytesIO(srgb_profile())),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
    )  # fmt: skip
    result = whole(Master(wide, pixels=MANY))[0] / spaces.L_U16_SCALE
    assert np.abs(result - lightness(np.asarray(srgb))).max() < 0.7  # theirs has 8 bits
    assert np.abs(result - lightness(pixels)).max() > 2


def test_reduced_is_the_average_and_colour_comes_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.codecs.masters._SMALL_SIDE", 410)
    path = tmp_path / "a.tif"
    pixels = np.zeros((410, 810, 3), np.uint16)
    pixels[:, 405:] = (65535, 0, 0)
    path.write_bytes(tiff_bytes(pixels, ResultMetadata(srgb_profile(), XMP)))
    result = Master(path, pixels=MANY).reduced(96)
    assert result.L_u16.shape == (205, 405)
    assert result.rgb8 is not None
    np.testing.assert_array_equal(result.rgb8[7, [3, -3]], [[0, 0, 0], [255, 0, 0]])
    small = tmp_path / "small.tif"
    tifffile.imwrite(small, ramp(np.uint16))
    master = Master(small, pixels=MANY)
    np.testing.assert_array_equal(master.reduced(384).L_u16, whole(master)[0])
    assert master.reduced(384).rgb8 is None


def test_metadata_is_carried(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    pixels = ramp(np.uint16, 3)
    path.write_bytes(
        tiff_bytes(pixels, ResultMetadata(srgb_profile(), XMP, exif=exif_block(), dpi=(400, 400)))
    )
    meta = Master(path, pixels=MANY).info.meta
    assert meta.xmp == XMP
    assert meta.icc == srgb_profile()
    assert meta.dpi == pytest.approx((400, 400), abs=0.01)
    exif = Image.Exif()
    exif.load(meta.exif or b"")
    assert exif.get_ifd(34665)[0x9003] == "1911:05:01 12:00:00"


def test_every_page_is_read_by_its_own_layout(tmp_path: Path) -> None:
    pages = [ramp(np.uint8), ramp(np.uint16, 3)[:50, :40], ramp(np.uint16)[:30]]
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(pages[0][::4, ::4], photometric="minisblack", subfiletype=1)
        for page in pages:
            writer.write(page, photometric="rgb" if page.ndim == 3 else "minisblack", metadata=None)
    master = Master(tmp_path / "a.tif", pixels=MANY)
    assert [(info.height, info.width, info.mode) for info in master.infos] == [
        (*SIZE, "L"),
        (50, 40, "RGB;16"),
        (30, SIZE[1], "I;16"),
    ]
    assert all(any("reduced copy" in change for change in info.meta.changes) for info in master.infos)
    for number, page in enumerate(pages):
        result = np.concatenate([l_u16 for l_u16, _ in master.strips(number)]) / spaces.L_U16_SCALE
        assert np.abs(result - lightness(page)).max() < 0.01
        assert master.reduced(384, number).L_u16.shape == page.shape[:2]
    with tifffile.TiffWriter(tmp_path / "b.tif") as writer:
        writer.write(pages[0], photometric="minisblack", metadata=None)
        writer.write(ramp(np.uint16).astype(np.float32), photometric="minisblack", metadata=None)
    with pytest.raises(ImageFailure, match=r"^page 2 of 2: ") as caught:
        Master(tmp_path / "b.tif", pixels=MANY)
    assert caught.value.code == FailureCode.UNSUPPORTED


def failure(path: Path, pixels: int = MANY) -> FailureCode:
    with pytest.raises(ImageFailure) as caught:
        whole(Master(path, pixels=pixels))
    assert "\n" not in caught.value.message
    return caught.value.code


def test_what_cannot_be_streamed_is_a_failure_with_its_reason(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, ramp(np.uint16).astype(np.float32))
    assert failure(path) == FailureCode.UNSUPPORTED
    tifffile.imwrite(path, ramp(np.uint8, 4), photometric="separated")
    assert failure(path) == FailureCode.UNSUPPORTED
    tifffile.imwrite(path, ramp(np.uint16), compression="zlib", rowsperstrip=10)
    assert failure(path, pixels=1000) == FailureCode.TOO_LARGE
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert failure(path) in (FailureCode.TRUNCATED, FailureCode.CORRUPT)
    path.write_bytes(data[:300] + bytes(20_000) + data[20_300:])
    assert failure(path) in (FailureCode.TRUNCATED, FailureCode.CORRUPT)
    path.write_bytes(b"II*\x00 and no more")
    assert failure(path) in (FailureCode.TRUNCATED, FailureCode.CORRUPT)
