"""PNGs we write, read with other software: Pillow for 8 bits, libvips for 16; the structure by hand."""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from pipeline.codecs import png
from pipeline.codecs.integrity import check_png, png_parts
from pipeline.codecs.png import SIGNATURE, png_data, png_header
from pipeline.color.luminance import luminance_u16_from_gray8
from pipeline.shard.compose import compose

PHOTOS = Path(__file__).resolve().parents[1] / "photos"
Levels = NDArray[Any]


def written(pixels: Levels) -> bytes:
    return SIGNATURE + png_header(pixels) + png_data(pixels)


def read(data: bytes) -> Levels:
    """By libvips, which keeps 16 bits."""
    image = pyvips.Image.new_from_buffer(data, "", fail_on="error")
    return np.asarray(image).reshape(image.height, image.width, image.bands)


def noise(height: int, width: int, channels: int, dtype: type, seed: int = 0) -> Levels:
    most = np.iinfo(dtype).max
    return np.random.default_rng(seed).integers(0, most, (height, width, channels), dtype, endpoint=True)


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([3, 4]), st.integers(0, 99))
def test_what_is_written_is_read(height: int, width: int, channels: int, seed: int) -> None:
    eight = noise(height, width, channels, np.uint8, seed)
    with Image.open(io.BytesIO(written(eight))) as opened:
        np.testing.assert_array_equal(np.asarray(opened), eight)
    deep = noise(height, width, channels, np.uint16, seed)
    np.testing.assert_array_equal(read(written(deep)), deep)
    assert check_png(written(deep)) == 16


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("rows", [1, 3, 7])
def test_bands_are_seamless(monkeypatch: pytest.MonkeyPatch, dtype: type, rows: int) -> None:
    pixels = noise(20, 30, 3, dtype)
    whole = png_data(pixels)
    monkeypatch.setattr(png, "_BAND", rows * 30 * 3 * pixels.itemsize)
    assert png_data(pixels) == whole


def test_many_chunks_hold_one_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = noise(50, 60, 3, np.uint8)
    monkeypatch.setattr(png, "_CHUNK", 1000)
    parts = png_parts(written(pixels))
    assert [part[4:8] for part in parts] == [b"IHDR"] + [b"IDAT"] * (len(parts) - 2) + [b"IEND"]
    assert len(parts) > 8
    assert len(zlib.decompress(b"".join(part[8:-4] for part in parts[1:-1]))) == 50 * (1 + 60 * 3)
    np.testing.assert_array_equal(read(written(pixels)), pixels)


def test_pixels_of_any_order_in_memory_are_written_alike() -> None:
    pixels = noise(9, 11, 3, np.uint16)
    turned = np.asfortranarray(pixels)
    assert written(turned) == written(pixels) == written(pixels.astype(">u2"))


@pytest.mark.slow
def test_coloured_photographs_are_hardly_larger_than_those_of_pillow() -> None:
    """Pillow with five filters, at the level of zlib that takes four times as long."""
    ours = theirs = 0
    for path in sorted(PHOTOS.rglob("*.jpg"))[:6]:
        pixels = tinted(path)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG", compress_level=3)
        ours, theirs = ours + len(written(pixels)), theirs + file.tell()
    assert ours < 1.05 * theirs


def tinted(path: Path) -> Levels:
    """A photograph with chroma that changes slowly, as that of a colorization does."""
    with Image.open(path) as opened:
        lightness = luminance_u16_from_gray8(np.asarray(opened.convert("L")))
    ab = np.random.default_rng(0).uniform(-30, 40, (2, 12, 12)).astype(np.float32)
    return compose(lightness, ab, depth=8).rgb
