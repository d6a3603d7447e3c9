"""JPEGs encoded without Pillow's copies of the pixels: the bytes are the same as Pillow's."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.codecs.jpeg import jpeg_bytes
from pipeline.codecs.metadata.xmp import xmp_segments

_EXIF = Image.Exif()
_EXIF[270] = "the pier \xff\xdb"
METADATA: dict[str, Any] = {
    "exif": _EXIF.tobytes(),
    "icc_profile": bytes(range(256)) * 300,  # two segments
    "comment": b"\xff\xdb\xff\xda",
    "dpi": (600, 300),
    "extra": xmp_segments(b"<x/>", None),
}


def by_pillow(rgb8: Any, quality: int, subsampling: str, options: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(rgb8).save(file, "JPEG", quality=quality, subsampling=subsampling, **options)
    return file.getvalue()


@given(
    st.integers(0, 2**32 - 1), st.integers(1, 70), st.integers(1, 70), st.integers(1, 100),
    st.sampled_from(["4:4:4", "4:2:2", "4:2:0"]), st.sampled_from([{}, METADATA]),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_the_file_is_the_one_that_pillow_writes(
    seed: int, height: int, width: int, quality: int, subsampling: str, options: dict[str, Any]
) -> None:
    rgb8 = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    written = jpeg_bytes(rgb8, quality=quality, subsampling=subsampling, **options)
    assert written == by_pillow(rgb8, quality, subsampling, options)


def test_pixels_that_do_not_lie_in_a_row_are_those_of_their_picture() -> None:
    rgb8 = np.random.default_rng(1).integers(0, 256, (40, 60, 3), np.uint8)[::-1, ::2]
    assert jpeg_bytes(rgb8, quality=92, subsampling="4:4:4") == by_pillow(rgb8, 92, "4:4:4", {})


def test_an_encoder_with_other_tables_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two builds of the library may differ: image data must not stand behind tables of another."""
    from imagecodecs import jpeg8_encode

    def other(pixels: Any, quality: int, **options: Any) -> bytes:
        return bytes(jpeg8_encode(pixels, quality - 30, **options))

    monkeypatch.setattr("imagecodecs.jpeg8_encode", other)
    rgb8 = np.random.default_rng(2).integers(0, 256, (33, 47, 3), np.uint8)
    assert jpeg_bytes(rgb8, quality=92, subsampling="4:2:0") == by_pillow(rgb8, 92, "4:2:0", {})


def test_pillows_refusals_stay() -> None:
    rgb8 = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(ValueError, match="EXIF data is too long"):
        jpeg_bytes(rgb8, quality=92, subsampling="4:4:4", exif=bytes(70_000))
