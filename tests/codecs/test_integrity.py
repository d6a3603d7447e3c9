"""Damage: a file that is cut off or lacks its middle fails; it never gives part of a picture."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.codecs import integrity
from pipeline.codecs.in_memory import Decoded
from pipeline.errors import FailureCode, ImageFailure
from tests.support.samples import encoded, opened, photo, png

GRAY = photo(96, 128)
RGB = np.repeat(GRAY[..., None], 3, axis=2)
FILES = {
    "jpeg": encoded(GRAY, "JPEG", quality=90),
    "jpeg rgb": encoded(RGB, "JPEG", quality=90),
    "jpeg restarts": encoded(RGB, "JPEG", quality=90, restart_marker_rows=1),
    "jpeg progressive": encoded(RGB, "JPEG", quality=90, progressive=True),
    "png": encoded(GRAY, "PNG"),
    "webp": encoded(RGB, "WEBP", quality=80),
    "webp lossless": encoded(RGB, "WEBP", lossless=True),
    "tiff": encoded(GRAY, "TIFF"),
    "tiff lzw": encoded(GRAY, "TIFF", compression="tiff_lzw"),
    "tiff deflate": encoded(RGB, "TIFF", compression="tiff_adobe_deflate"),
    "bmp": encoded(RGB, "BMP"),
    "gif": encoded(GRAY, "GIF"),
}
FOR_LACK = {FailureCode.TRUNCATED, FailureCode.CORRUPT, FailureCode.NOT_AN_IMAGE}


def outcome(data: bytes) -> Decoded | FailureCode:
    try:
        result = opened(data, "scan.jpg")
    except ImageFailure as failure:
        return failure.code
    assert isinstance(result, Decoded)
    return result


@pytest.mark.parametrize("name", FILES)
def test_a_cut_file_is_whole_or_failed(name: str) -> None:
    data = FILES[name]
    whole = outcome(data)
    assert isinstance(whole, Decoded)
    failed = 0
    for cut in sorted({*range(0, len(data), max(1, len(data) // 60)), *range(len(data) - 24, len(data))}):
        result = outcome(data[:cut])
        if isinstance(result, Decoded):  # only bytes behind the last pixel were missing
            np.testing.assert_array_equal(result.L_u16, whole.L_u16, err_msg=f"{name} cut at {cut}")
        else:
            assert result in FOR_LACK, (cut, result)
            failed += 1
    assert failed > 50


@pytest.mark.parametrize("name", ["jpeg", "jpeg rgb"])
def test_an_early_end_marker_does_not_hide_a_cut(name: str) -> None:
    """libjpeg fills the rest with gray and succeeds; Pillow says nothing."""
    data = FILES[name]
    for cut in range(len(data) // 2, len(data) - 60, 97):
        mended = data[:cut] + b"\xff\xd9"
        Image.open(io.BytesIO(mended)).load()
        assert outcome(mended) in (FailureCode.TRUNCATED, FailureCode.CORRUPT), cut


def test_a_progressive_jpeg_without_its_last_scans_is_cut() -> None:
    data = FILES["jpeg progressive"]
    last = data.rfind(b"\xff\xda")
    assert outcome(data[:last] + b"\xff\xd9") == FailureCode.TRUNCATED


def test_bytes_behind_a_jpeg_do_no_harm() -> None:
    whole = outcome(FILES["jpeg"])
    extended = outcome(FILES["jpeg"] + b"appended by a camera" * 50 + FILES["jpeg rgb"])
    assert isinstance(whole, Decoded)
    assert isinstance(extended, Decoded)
    np.testing.assert_array_equal(extended.L_u16, whole.L_u16)


def test_a_jpeg_that_lost_its_middle_fails() -> None:
    data = encoded(photo(256, 256), "JPEG", quality=90)
    middle = len(data) // 2
    for lost in (100, 500, 2000):
        assert outcome(data[:middle] + data[middle + lost :]) in (FailureCode.TRUNCATED, FailureCode.CORRUPT)
    doubled = data[:middle] + data[middle - 3000 : middle] + data[middle:]
    assert outcome(doubled) == FailureCode.CORRUPT


@pytest.mark.parametrize("rows", [0, 1, 50, 94, 95])
def test_png_rows_that_are_missing_with_right_checksums(rows: int) -> None:
    lines = b"".join(b"\0" + row.tobytes() for row in GRAY[:rows])
    assert outcome(png(128, 96, lines)) == FailureCode.TRUNCATED


def test_an_animated_png_that_lost_the_header_of_a_frame() -> None:
    frames = [Image.fromarray(GRAY), Image.fromarray(GRAY[::-1])]
    data = encoded(frames[0], "PNG", save_all=True, append_images=frames[1:])
    assert isinstance(outcome(data), Decoded)
    header = data.rindex(b"fcTL") - 4  # where its length stands; 38 bytes with its checksum
    assert outcome(data[:header] + data[header + 38 :]) == FailureCode.CORRUPT


def test_png_with_a_flipped_bit_in_its_image_data() -> None:
    data = bytearray(FILES["png"])
    data[data.index(b"IDAT") + 900] ^= 4
    assert outcome(bytes(data)) == FailureCode.CORRUPT


def test_black_rows_at_the_end_are_no_damage() -> None:
    picture = GRAY.copy()
    picture[-20:] = 0
    for format in ("PNG", "GIF"):
        result = outcome(encoded(picture, format))
        assert isinstance(result, Decoded)
        assert not result.L_u16[-20:].any()


def test_gif_that_ends_early_inside_valid_blocks() -> None:
    short = bytearray(encoded(GRAY[:40], "GIF"))
    screen, frame = 8, short.index(b"\x2c\0\0\0\0\x80\0") + 7
    for offset in (screen, frame):
        short[offset : offset + 2] = (96).to_bytes(2, "little")
    assert outcome(bytes(short)) in (FailureCode.TRUNCATED, FailureCode.CORRUPT)


def test_tiff_whose_strip_table_is_too_short() -> None:
    data = bytearray(encoded(GRAY[:40], "TIFF"))
    height = data.index(b"\x01\x01\x04\x00\x01\x00\x00\x00") + 8  # ImageLength, LONG, one value
    data[height : height + 4] = (96).to_bytes(4, "little")
    assert outcome(bytes(data)) in (FailureCode.TRUNCATED, FailureCode.CORRUPT)


@given(
    st.binary(max_size=80), st.lists(st.sampled_from([0x00, 0x01, 0xD0, 0xD7, 0xD8, 0xFE, 0xFF]), max_size=40)
)
@settings(max_examples=100, deadline=None)
def test_markers_are_found_where_the_standard_says(data: bytes, ends: list[int]) -> None:
    """Any fill bytes 0xFF, then a code that is neither zero nor of a restart (T.81, B.1.1.2)."""
    data += bytes(ends)
    wanted = re.compile(rb"\xff+([\x01-\xcf\xd8-\xfe])")
    assert [m.span() for m in integrity._MARKER.finditer(data)] == [m.span() for m in wanted.finditer(data)]
