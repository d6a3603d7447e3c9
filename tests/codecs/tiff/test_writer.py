"""The TIFF writer: the pixels and every tag, read back with other software."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tracemalloc
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, TiffImagePlugin

from pipeline.codecs.metadata.block import ResultMetadata
from pipeline.codecs.metadata.profiles import srgb_profile
from pipeline.codecs.tiff.writer import TiffPage, TiffWriter, tiff_bytes

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'
FOUR_GIB = 2**32


def metadata(**options: Any) -> ResultMetadata:
    """What a page carries."""
    return ResultMetadata(
        **{"icc": srgb_profile(), "xmp": XMP, "exif": exif_block(), "dpi": (600, 300), **options}
    )


def written(*pages: tuple[TiffPage, Iterable[np.ndarray]], **options: Any) -> bytes:
    """The file with these pages."""
    file = io.BytesIO()
    writer = TiffWriter(file, **{"bytes_at_most": 1000, **options})
    for page, rows in pages:
        writer.write(page, rows)
    writer.close()
    return file.getvalue()


def steps(pixels: np.ndarray, step: int) -> Iterator[np.ndarray]:
    return (pixels[top : top + step] for top in range(0, len(pixels), step))


def exiftool(path: Path, *options: str) -> dict[str, Any]:
    """Every tag by `group:name`."""
    if (program := shutil.which("exiftool")) is None:
        pytest.skip("exiftool is not installed")
    command = [program, "-json", "-n", "-a", *options, str(path)]
    return dict(json.loads(subprocess.run(command, capture_output=True, check=True).stdout)[0])


def noise(height: int, width: int, channels: int, depth: int, seed: int = 0) -> np.ndarray:
    top = 2**depth
    dtype = np.uint8 if depth == 8 else np.uint16
    return np.random.default_rng(seed).integers(0, top, (height, width, channels), dtype)


def exif_block(description: str | None = None) -> bytes:
    exif = Image.Exif()
    if description is not None:
        exif[ExifTags.Base.ImageDescription] = description
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
    pixels = noise(height, width, channels, depth)
    data = written(
        (TiffPage(width, height, channels, depth), steps(pixels, step)),
        bytes_at_most=FOUR_GIB if big else 1000, compression=compression, threads=threads,
    )  # fmt: skip
    assert data[2] == (43 if big else 42)
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(data)), pixels)
    np.testing.assert_array_equal(with_vips(data), pixels)
    if depth == 8:  # Pillow has no 16-bit RGB
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), pixels)


def test_the_bytes_depend_on_pixels_and_metadata_alone() -> None:
    pixels = noise(900, 300, 3, 16)
    once = tiff_bytes(pixels, metadata())
    page = TiffPage(300, 900, 3, 16, metadata())
    in_steps = written((page, steps(pixels, 7)), bytes_at_most=page.bytes_at_most(), threads=3)
    assert in_steps == once
    assert len(once) <= page.bytes_at_most()
    with Image.open(io.BytesIO(once)) as image:
        assert len(image.tag_v2[279]) > 1


@pytest.mark.parametrize("compression", ["deflate", "lzw", "none"])
@pytest.mark.parametrize("depth", [8, 16])
def test_noise_takes_no_more_than_was_announced(depth: int, compression: Any) -> None:
    page = TiffPage(500, 700, 4, depth)
    size = len(written((page, [noise(700, 500, 4, depth)]), compression=compression))
    assert size <= page.bytes_at_most(compression) - 2**20 * 0.9


@pytest.mark.parametrize("big", [False, True])
def test_pages_keep_their_sizes_and_metadata(big: bool, tmp_path: Path) -> None:
    pages = [noise(40, 30, 3, 16, 1), noise(400, 500, 3, 8, 2), noise(5, 7, 4, 16, 3)]
    path = tmp_path / "pages.tif"
    described = []
    for index, pixels in enumerate(pages):
        height, width, channels = pixels.shape
        named = metadata(exif=exif_block(f"leaf {index}"), dpi=None if index == 1 else (600, 300))
        page = TiffPage(width, height, channels, 8 * pixels.itemsize, named, (index, 3))
        described.append((page, [pixels]))
    path.write_bytes(written(*described, bytes_at_most=FOUR_GIB if big else 0))
    for index, pixels in enumerate(pages):
        np.testing.assert_array_equal(with_vips(path.read_bytes(), index), pixels)
    with tifffile.TiffFile(path) as opened:
        assert [page.tags["PageNumber"].value for page in opened.pages] == [(0, 3), (1, 3), (2, 3)]
        assert all(page.tags["ExifTag"].value["DateTimeOriginal"][:4] == "1911" for page in opened.pages)
        assert opened.pages[2].tags["GPSTag"].value["GPSLatitudeRef"] == "N"
        assert ["XResolution" in page.tags for page in opened.pages] == [True, False, True]
    tags, paged = exiftool(path, "-G0"), exiftool(path, "-G1")
    assert tags["EXIF:DateTimeOriginal"] == "1911:05:01 12:00:00"
    if not big:  # exiftool 12.57 reads a BigTIFF's GPS directory by the names of another
        assert tags["EXIF:GPSLatitude"] == pytest.approx(51.5)
    assert (paged["IFD0:XResolution"], paged["IFD0:YResolution"]) == (600, 300)
    assert paged["IFD0:Artist"] == "nobody"
    assert [paged[f"IFD{index}:ImageDescription"] for index in range(3)] == ["leaf 0", "leaf 1", "leaf 2"]
    assert "sRGB" in str(tags["ICC_Profile:ProfileDescription"])
    assert not [key for key in tags if "Warning" in key or "Error" in key]


#: What the directory of a page says beside offsets, sizes, ICC and XMP, as (type, value) (TIFF 6.0).
GOLDEN = {
    256: (4, 30), 257: (4, 40), 258: (3, (16, 16, 16, 16)), 259: (3, 8), 262: (3, 2),
    270: (2, "the pier"), 277: (3, 4), 278: (4, 40), 284: (3, 1),
    296: (3, 2), 315: (2, "nobody"), 317: (3, 2), 338: (3, (2,)), 33550: (12, (1.5, 2.5, 0.0)),
    33723: (4, (5243420, 539902217, 1885693259, 29285)), 34735: (3, (1, 1, 0, 3)),
}  # fmt: skip


@pytest.mark.parametrize("big", [False, True])
def test_every_tag_has_its_type_and_value(big: bool) -> None:
    exif = Image.Exif()
    exif.load(exif_block("the pier"))
    exif[33550], exif[34735] = (1.5, 2.5, 0.0), (1, 1, 0, 3)  # a georeference
    page = metadata(exif=exif.tobytes(), dpi=(300.355, 72.1), iptc=b"\x1c\x02\x50\x00\x09A. Keeper")
    data = written((TiffPage(30, 40, 4, 16, page), [noise(40, 30, 4, 16)]), bytes_at_most=FOUR_GIB * big)
    directory = TiffImagePlugin.ImageFileDirectory_v2(data[: 16 if big else 8])
    file = io.BytesIO(data)
    file.seek(directory.next)
    directory.load(file)
    tags = {tag: (directory.tagtype[tag], directory[tag]) for tag in directory}
    assert tags.pop(700) == (1, XMP)
    assert tags.pop(34675) == (7, srgb_profile())
    pointers = {tag: tags.pop(tag)[0] for tag in (273, 279, 34665, 34853)}
    offset = 16 if big else 4
    assert pointers == {273: offset, 279: offset, 34665: offset, 34853: offset}
    assert tags.pop(282)[1] == pytest.approx(300.355)
    assert tags.pop(283)[1] == pytest.approx(72.1)
    assert tags == GOLDEN


def test_directories_beyond_four_gibibytes_are_found(tmp_path: Path) -> None:
    """A sparse file, that takes no space."""
    pixels, path = noise(30, 20, 3, 16), tmp_path / "big.tif"
    with path.open("w+b") as file:
        writer = TiffWriter(file, bytes_at_most=FOUR_GIB)
        file.truncate(FOUR_GIB + 1000)
        writer.write(TiffPage(20, 30, 3, 16, metadata()), [pixels])
        writer.close()
    np.testing.assert_array_equal(pyvips.Image.new_from_file(str(path)).numpy(), pixels)
    with Image.open(path) as image:
        exif = image.getexif()
        assert exif.get_ifd(ExifTags.IFD.Exif)[0x9003] == "1911:05:01 12:00:00"
        assert exif.get_ifd(ExifTags.IFD.GPSInfo)[1] == "N"


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
def test_memory_is_that_of_some_strips(threads: int, tmp_path: Path) -> None:
    """What is held at a time does not depend on the rows of a page (72 MB) nor on the number of pages."""
    rows = noise(64, 1000, 3, 16)

    def peak(pages: int, repeats: int) -> int:
        page = TiffPage(1000, 64 * repeats, 3, 16, metadata())
        with (tmp_path / "a.tif").open("w+b") as file:
            tracemalloc.start()
            writer = TiffWriter(file, bytes_at_most=0, threads=threads)
            for _ in range(pages):
                writer.write(page, (rows for _ in range(repeats)))
            writer.close()
            most = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        return most

    peak(1, 1)  # imports
    few = peak(1, 10)
    assert few < 3 * 2**20
    assert peak(1, 190) < few + 2**18  # offsets, sizes and futures of 286 strips
    assert peak(40, 10) < few + 2**18


def refused(page: TiffPage, *rows: np.ndarray, match: str, **options: Any) -> None:
    with pytest.raises(ValueError, match=match):
        written((page, iter(rows)), **options)


@pytest.mark.parametrize("threads", [1, 2])
def test_what_does_not_fit_is_refused(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    page = TiffPage(4, 4, 3, 8)
    refused(page, noise(2, 2, 3, 8), match="do not fit", threads=threads)
    refused(page, noise(2, 4, 3, 16), match="do not fit", threads=threads)
    refused(page, noise(5, 4, 3, 8), match="has 4 rows; got 5", threads=threads)
    refused(page, noise(4, 4, 3, 8), noise(1, 4, 3, 8), match="has 4 rows; got 5", threads=threads)
    refused(page, noise(3, 4, 3, 8), match="has 4 rows; got 3", threads=threads)
    refused(page, match="has 4 rows; got 0", threads=threads)
    with pytest.raises(ValueError, match="no such page"):
        TiffPage(4, 4, 1, 8)
    monkeypatch.setattr("pipeline.codecs.tiff.writer._LARGEST", 10_000)
    refused(TiffPage(100, 100, 3, 8), noise(100, 100, 3, 8), match="4 GiB", threads=threads)
