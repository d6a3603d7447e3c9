"""Sizes from headers alone."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from pipeline.guides.picture_sizes import upright_sizes
from pipeline.storage import open_store
from tests.support.job_runner import encoded

PICTURE = Image.fromarray(np.random.default_rng(1).integers(0, 255, (800, 1200), np.uint8))


def sizes(tmp_path, no_storage, data: bytes) -> set[tuple[int, int]]:
    store = open_store(str(tmp_path), no_storage)
    store.put("a", data)
    (result,) = store.list()
    return upright_sizes(store, "a", result.etag, result.bytes)


@pytest.mark.parametrize(
    ("format", "turned"), [("JPEG", True), ("TIFF", True), ("GIF", False), ("BMP", False)]
)
def test_the_size_is_that_of_the_upright_picture(format, turned, tmp_path, no_storage):
    exif = Image.Exif()
    exif[274] = 6
    assert sizes(tmp_path, no_storage, encoded(PICTURE, format)) == {(1200, 800)}
    if turned:
        assert sizes(tmp_path, no_storage, encoded(PICTURE, format, exif=exif)) == {(800, 1200)}


def test_a_png_may_be_turned_by_what_stands_behind_its_pixels(tmp_path, no_storage):
    assert sizes(tmp_path, no_storage, encoded(PICTURE, "PNG")) == {(1200, 800), (800, 1200)}


@pytest.mark.parametrize("data", [b"", b"text", b"II*\0\xff\xff\xff\x00", encoded(PICTURE)[:20]])
def test_where_the_header_tells_nothing_no_size_is_known(data, tmp_path, no_storage):
    assert sizes(tmp_path, no_storage, data) == set()
