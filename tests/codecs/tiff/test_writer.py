"""The TIFF writer: the pixels and every tag, read back with other software."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import pyvips
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from pipeline.codecs.metadata.profiles import srgb_profile
from pipeline.codecs.tiff.writer import TiffPage, TiffWriter, tiff_bytes

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'
FOUR_GIB = 2**32


def noise(height: int, width: int, channels: int, depth: int, seed: int = 0) -> np.ndarray:
    top = 2**depth
    dtype = np.uint8 if depth == 8 else np.uint16
    return np.random.default_rng(seed).integers(0, top, (height, width, channels), dtype)


def exif_block() -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "nobody"
    exif.get_ifd(ExifTags.IFD.Exif)[0x9003] = "1911:05:01 12:00:00"
    exif.get_ifd(ExifTags.IFD.GPSInfo).update({1: "N", 2: (51.0, 30.0, 0.0)})
    return exif.tobytes()


def with_vips(data: bytes, page: int = 0) -> np.ndarray:
    return np.asarray(pyvips.Image.new_from_buffer(data, "", page=page).numpy())


@given(
    st.integers(1, 70), st.integers(1, 90), st.sampled_from([3, 4]), st.sampled_from([8, 16]),
    st.sampled_from(["deflate", "lzw", "none"]), st.booleans(), st.integers(1, 3), st.integers(1, 9),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_pixels_come_back_whatever_the_layout_and_the_rows_they_came_in(
    height: int, width: int, channels: int, depth: int, compression: str, big: bool, threads: int, step: int
) -> None:
    pixels, file = noise(height, width, channels, depth), io.BytesIO()
    at_most = FOUR_GIB if big else 1000
    with TiffWriter(file, bytes_at_most=at_most, compression=compression, threads=threads) as writer:
        writer.page(TiffPage(width, height, channels, depth))
        for top in range(0, height, step):
            writer.write(pixels[top : top + step])
    data = file.getvalue()
    assert data[2] == (43 if big else 42)
    if compression != "lzw":  # for which tifffile wants imagecodecs
        np.testing.assert_array_equal(tifffile.imread(io.BytesIO(data)), pixels)
    np.testing.assert_array_equal(with_vips(data), pixels)
    if depth == 8:  # Pillow has no 16-bit RGB
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), pixels)


def test_the_bytes_depend_on_pixels_and_metadata_alone() -> None:
    pixels = noise(900, 300, 3, 16)
    once = tiff_bytes(pixels, icc=srgb_profile(), xmp=XMP, exif=exif_block(), dpi=(300, 300))
    file = io.BytesIO()
    page = TiffPage(300, 900, 3, 16, srgb_profile(), XMP, exif_block(), (300, 300))
    with TiffWriter(file, bytes_at_most=page.bytes_at_most(), threads=3) as writer:
        writer.page(page)
        for top in range(0, 900, 7):
            writer.write(pixels[top : top + 7])
    assert file.getvalue() == once
    assert len(once) <= page.bytes_at_most()
    with Image.open(io.BytesIO(once)) as image:
        assert len(image.tag_v2[279]) > 1


@pytest.mark.parametrize("big", [False, True])
def test_pages_keep_their_sizes_names_and_metadata(big: bool, tmp_path: Path) -> None:
    pages = [noise(40, 30, 3, 16, 1), noise(400, 500, 3, 8, 2), noise(5, 7, 4, 16, 3)]
    path = tmp_path / "pages.tif"
    with path.open("wb") as file, TiffWriter(file, bytes_at_most=FOUR_GIB if big else 0) as writer:
        for index, pixels in enumerate(pages):
            height, width, channels = pixels.shape
            depth = 8 * pixels.itemsize
            writer.page(
                TiffPage(
                    width, height, channels, depth, srgb_profile(), XMP, exif_block(), (600, 300),
                    "a description", f"leaf {index}", (index, 3),
                )
            )  # fmt: skip
            writer.write(pixels)
    data = path.read_bytes()
    for index, pixels in enumerate(pages):
        np.testing.assert_array_equal(with_vips(data, index), pixels)
    with tifffile.TiffFile(path) as opened:
        assert [page.tags["PageName"].value for page in opened.pages] == ["leaf 0", "leaf 1", "leaf 2"]
        assert [page.tags["PageNumber"].value for page in opened.pages] == [(0, 3), (1, 3), (2, 3)]
        assert all(page.tags["ExifTag"].value["DateTimeOriginal"][:4] == "1911" for page in opened.pages)
        assert opened.pages[2].tags["GPSTag"].value["GPSLatitudeRef"] == "N"
    if (exiftool := shutil.which("exiftool")) is None:
        pytest.skip("exiftool is not installed")

    def told(groups: str) -> dict[str, object]:
        command = [exiftool, "-json", groups, "-n", "-a", str(path)]
        return dict(json.loads(subprocess.run(command, capture_output=True, check=True).stdout)[0])

    said, paged = told("-G0"), told("-G1")
    assert said["EXIF:DateTimeOriginal"] == "1911:05:01 12:00:00"
    if not big:  # exiftool 12.57 reads a BigTIFF's GPS directory by the names of another
        assert said["EXIF:GPSLatitude"] == pytest.approx(51.5)
    assert (paged["IFD0:XResolution"], paged["IFD0:YResolution"]) == (600, 300)
    assert (paged["IFD0:Artist"], paged["IFD0:ImageDescription"]) == ("nobody", "a description")
    assert [paged[f"IFD{index}:PageName"] for index in range(3)] == ["leaf 0", "leaf 1", "leaf 2"]
    assert "sRGB" in str(said["ICC_Profile:ProfileDescription"])
    assert not [key for key in said if "Warning" in key or "Error" in key]


def test_directories_beyond_four_gibibytes_are_found(tmp_path: Path) -> None:
    """The strips of a page are moved out by seeking: a sparse file, that takes no space."""
    pixels, path = noise(30, 20, 3, 16), tmp_path / "big.tif"
    with path.open("wb") as file, TiffWriter(file, bytes_at_most=FOUR_GIB) as writer:
        writer.page(TiffPage(20, 30, 3, 16, exif=exif_block()))
        file.seek(FOUR_GIB + 1000)
        writer._position = FOUR_GIB + 1000
        writer.write(pixels)
    np.testing.assert_array_equal(pyvips.Image.new_from_file(str(path)).numpy(), pixels)
    with Image.open(path) as image:
        exif = image.getexif()
        assert exif.get_ifd(ExifTags.IFD.Exif)[0x9003] == "1911:05:01 12:00:00"
        assert exif.get_ifd(ExifTags.IFD.GPSInfo)[1] == "N"


def test_what_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    writer = TiffWriter(io.BytesIO(), bytes_at_most=0)
    with pytest.raises(ValueError, match="do not fit"):
        writer.write(noise(2, 2, 3, 8))
    writer.page(TiffPage(4, 4, 3, 8))
    with pytest.raises(ValueError, match="do not fit"):
        writer.write(noise(2, 4, 3, 16))
    with pytest.raises(ValueError, match="has 4 rows; got 5"):
        writer.write(noise(5, 4, 3, 8))
    writer.write(noise(3, 4, 3, 8))
    with pytest.raises(ValueError, match="has 4 rows; got 3"):
        writer.close()
    with pytest.raises(ValueError, match="no such page"):
        TiffPage(4, 4, 1, 8)
    monkeypatch.setattr("pipeline.codecs.tiff.writer._LARGEST", 10_000)
    full = TiffWriter(io.BytesIO(), bytes_at_most=0)
    full.page(TiffPage(100, 100, 3, 8))
    with pytest.raises(ValueError, match="4 GiB"):
        full.write(noise(100, 100, 3, 8))
