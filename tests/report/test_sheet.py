"""Thumbnails show what the job decoded, and the contact sheet shows before and after."""

import io
from typing import Any

import numpy as np
import pytest
import pyvips
from PIL import Image, ImageOps

from pipeline.report.run_report import thumbnail
from pipeline.report.sheet import Pair, contact_sheet
from tests.support.paths import SAMPLES as PHOTOS


def test_thumbnail_is_upright_and_small() -> None:
    with Image.open(PHOTOS / "daytona-beach-1900s.jpg") as image:
        lying = image.transpose(Image.Transpose.ROTATE_90)  # and a viewer turns it back, clockwise
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    lying.save(buffer, "JPEG", exif=exif)
    small = thumbnail(buffer.getvalue(), 96)
    assert small.size == (64, 96)
    assert small.mode == "RGB"
    straight = thumbnail((PHOTOS / "daytona-beach-1900s.jpg").read_bytes(), 96)
    assert abs(mean_gray(small.crop((0, 0, 64, 48))) - mean_gray(straight.crop((0, 0, 64, 48)))) < 3


def mean_gray(image: Image.Image) -> float:
    values = ImageOps.grayscale(image).histogram()
    return sum(value * count for value, count in enumerate(values)) / sum(values)


def test_thumbnail_puts_transparency_on_white() -> None:
    buffer = io.BytesIO()
    Image.new("LA", (40, 30), (0, 0)).save(buffer, "PNG")
    assert thumbnail(buffer.getvalue(), 40).getpixel((5, 5)) == (255, 255, 255)


def test_thumbnails_show_what_the_job_decoded() -> None:
    gray = np.linspace(0, 1, 40 * 50, dtype=np.float32).reshape(40, 50)
    levels = np.rint(gray * 65535).astype(np.uint16)
    image = pyvips.Image.new_from_array(levels).copy(interpretation="grey16")
    inverted = bytes(image.tiffsave_buffer(miniswhite=True))
    floating = bytes(pyvips.Image.new_from_array(gray).tiffsave_buffer())
    for data in (inverted, floating):
        shown = np.asarray(thumbnail(data, 50))
        assert np.abs(shown.astype(int) - (levels >> 8)[..., None]).max() <= 1


def test_thumbnail_of_16_bits_is_not_clipped_to_white() -> None:
    buffer = io.BytesIO()
    Image.new("I;16", (40, 30), 32768).save(buffer, "PNG")
    assert thumbnail(buffer.getvalue(), 40).getpixel((5, 5)) == (128, 128, 128)


@pytest.mark.parametrize("size", [(300, 200), (200, 300), (900, 100), (7, 900)])
def test_sheet_shows_before_left_and_after_right(size: tuple[int, int]) -> None:
    pair = Pair(
        "a.jpg", Image.new("RGB", size, (90, 90, 90)), Image.new("RGB", size, (200, 40, 40)), "caption"
    )
    sheet = contact_sheet([pair] * 5, thumbnail=120, title="title")
    grays = [x for x in range(sheet.width) if (90, 90, 90) in column(sheet, x)]
    reds = [x for x in range(sheet.width) if (200, 40, 40) in column(sheet, x)]
    assert grays
    assert reds
    assert grays[0] < reds[0]
    assert reds[-1] <= sheet.width - 28
    assert sheet.width == 4 * 120 + 2 * 3 + 28 + 2 * 28


def column(image: Image.Image, x: int) -> set[Any]:
    colors = image.crop((x, 0, x + 1, image.height)).getcolors(image.height)
    assert colors is not None
    return {color for _, color in colors}


def test_sheet_survives_long_foreign_keys_and_missing_pictures() -> None:
    key = "Łódź/" + "长" * 300 + "é.jpg"
    pairs = [
        Pair(key, "gone: " + "x" * 500, "also gone"),
        Pair("a" * 999, Image.new("RGB", (3, 900)), "none"),
    ]
    sheet = contact_sheet(pairs, thumbnail=64)
    assert (58, 58, 58) in {color for x in range(sheet.width) for color in column(sheet, x)}
