"""JPEG 2000 as a result: the samples as OpenJPEG reads them, the boxes as exiftool and Pillow read them."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imagecodecs import jpeg2k_decode
from PIL import Image

from pipeline.codecs.deep_pixels import rgb16_from_srgb
from pipeline.codecs.encode import encode
from pipeline.codecs.in_memory import Decoded
from pipeline.codecs.jp2 import box, boxes, jp2_bytes
from pipeline.codecs.pixels import DecodeLimits, NoImage, read_pixels
from pipeline.config.output import OutputConfig
from pipeline.report.run_report import thumbnail
from tests.codecs.metadata.test_provenance import PROVENANCE, exiftool
from tests.codecs.test_in_memory import wide_profile
from tests.support.samples import colourful, decoded, encoded, photo

RGB = colourful()
DEEP = np.random.default_rng(5).integers(0, 65536, (61, 83, 3), np.uint16)
OUTPUT = OutputConfig(format="jp2")


def written(rgb: Any, icc: bytes | None = None, what: Decoded | None = None) -> bytes:
    what = what or decoded(encoded(photo(*rgb.shape[:2]), "JPEG", dpi=(600, 600)))
    data = encode(rgb, what, icc, OUTPUT, PROVENANCE)
    assert data == encode(rgb, what, icc, OUTPUT, PROVENANCE)
    return data


@pytest.mark.parametrize("rgb", [RGB, DEEP, RGB[:1, :1], DEEP[:3, :2]], ids=["8", "16", "8 tiny", "16 tiny"])
def test_every_sample_comes_back(rgb: Any) -> None:
    data = written(rgb)
    np.testing.assert_array_equal(np.asarray(jpeg2k_decode(data)), rgb)
    if rgb.dtype == np.uint8:
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), rgb)
        result = read_pixels(data, "a.jp2", None, DecodeLimits(pixels=2**20))
        assert not isinstance(result, NoImage)
        np.testing.assert_array_equal(result.array, rgb)


@pytest.mark.parametrize("rgb", [RGB, DEEP[:60, :80]], ids=["8", "16"])
def test_opacity_is_a_channel_that_says_so(rgb: Any) -> None:
    alpha = photo(*rgb.shape[:2], seed=8)
    data = written(rgb, what=replace(decoded(encoded(photo(), "PNG")), alpha=alpha))
    whole = np.asarray(jpeg2k_decode(data))
    np.testing.assert_array_equal(whole[..., :3], rgb)
    np.testing.assert_array_equal(whole[..., 3] >> (8 if rgb.dtype == np.uint16 else 0), alpha)
    header = dict(boxes(dict(boxes(data))[b"jp2h"]))
    assert header[b"cdef"][-6:] == bytes([0, 3, 0, 1, 0, 0])
    assert Image.open(io.BytesIO(data)).mode == "RGBA"


def test_profile_and_depth_as_exiftool_reads_them(tmp_path: Any) -> None:
    icc = wide_profile()
    data = written(rgb16_from_srgb(DEEP, icc), icc)
    assert dict(boxes(dict(boxes(data))[b"jp2h"]))[b"colr"][3:] == icc
    tags = exiftool(data, tmp_path)
    assert tags["Jpeg2000:ColorSpecMethod"] == "Restricted ICC"
    assert tags["Jpeg2000:BitsPerComponent"] == "16 Bits, Unsigned"
    assert tags["File:MIMEType"] == "image/jp2"
    plain = exiftool(written(RGB), tmp_path)
    assert (plain["Jpeg2000:ColorSpace"], "ICC_Profile:ProfileDescription" in plain) == ("sRGB", False)


def test_the_report_can_show_colour_of_16_bits() -> None:
    shown = np.asarray(thumbnail(written(RGB.astype(np.uint16) * 257), max(RGB.shape)))
    assert float(np.abs(shown.astype(float) - RGB).max()) <= 1


@given(st.tuples(st.floats(1, 50_000), st.floats(1, 50_000)))
@settings(max_examples=50, deadline=None)
def test_any_resolution_comes_back(dpi: tuple[float, float]) -> None:
    data = jp2_bytes(RGB, dpi=dpi)
    # fractions with denominators up to 6,500: just above 1 the next one is 1/6,500 away
    assert Image.open(io.BytesIO(data)).info["dpi"] == pytest.approx(dpi, rel=1e-4)


def test_boxes_of_every_length_are_read_and_foreign_ones_refused() -> None:
    long = b"\x00\x00\x00\x01abcd" + (19).to_bytes(8, "big") + b"xyz"
    open_end = b"\x00\x00\x00\x00last!!"
    assert list(boxes(box(b"free", b"1") + long + open_end)) == [
        (b"free", b"1"),
        (b"abcd", b"xyz"),
        (b"last", b"!!"),
    ]
    with pytest.raises(ValueError, match="ends outside"):
        list(boxes(b"\x00\x00\x00\x20jp2c"))
