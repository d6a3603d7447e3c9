"""TIFFs with every kind of number and channel beyond 8 bits: the result is what their tags say."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pillow_heif
import pytest
import pyvips
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, TiffImagePlugin

from pipeline.codecs import deep_pixels
from pipeline.codecs.pixels import DecodeLimits, read_pixels
from pipeline.codecs.upright import Pixels
from pipeline.color.light import lightness
from pipeline.color.spaces import L_U16_SCALE, linear_to_srgb, srgb_to_lab
from pipeline.errors import FailureCode, ImageFailure
from tests.support.samples import encoded, photo

GRAY16 = photo().astype(np.uint16) * 257
UNIT = GRAY16 / 65535
FLOAT, DOUBLE, MOST, LEAST, CURVE = 11, 12, 341, 340, 301
NO_PROFILE = "no colour profile: sRGB was assumed"


def tiff(array: np.ndarray[Any, Any], **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, array, **options)
    return file.getvalue()


def pixels(data: bytes) -> Pixels:
    result = read_pixels(data, "master.tif", None, DecodeLimits(10**7))
    assert isinstance(result, Pixels)
    assert result.array.dtype == np.uint16
    return result


def near(found: Pixels, wanted: np.ndarray[Any, Any], levels: int = 1) -> bool:
    return found.array.shape == wanted.shape and int(np.abs(found.array.astype(int) - wanted).max()) <= levels


@settings(max_examples=30, deadline=None)
@given(
    arrays(np.uint16, st.tuples(st.integers(1, 20), st.integers(1, 20))), st.sampled_from("<>"), st.booleans()
)
def test_16_bit_gray_comes_back_to_the_bit(array: Any, byteorder: str, inverted: bool) -> None:
    photometric = "miniswhite" if inverted else "minisblack"
    result = pixels(tiff(array, byteorder=byteorder, photometric=photometric))
    np.testing.assert_array_equal(result.array, 65535 - array if inverted else array)


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_floating_point_that_is_min_is_white_is_no_negative(kind: Any) -> None:
    assert near(pixels(tiff(UNIT.astype(kind), photometric="minisblack")), GRAY16, 40)
    assert near(pixels(tiff(UNIT.astype(kind), photometric="miniswhite")), 65535 - GRAY16, 40)


def test_the_range_that_the_file_states_counts() -> None:
    stated = [(LEAST, FLOAT, 1, 0.0, True), (MOST, FLOAT, 1, 255.0, True)]
    result = pixels(tiff((UNIT * 255).astype(np.float32), extratags=stated))
    assert near(result, GRAY16)
    assert result.notes == []
    signed = pixels(tiff((GRAY16 // 4).astype(np.int16)))
    assert (signed.array.min(), signed.array.max()) == (0, 65535)
    assert "were taken as black to white" in signed.notes[0]


def test_32_bit_integers_say_that_they_were_rounded() -> None:
    result = pixels(tiff((UNIT * (2**32 - 1)).astype(np.uint32)))
    assert near(result, GRAY16)
    assert result.notes == ["32-bit samples were rounded to 16"]


def test_alpha_planes_and_channels() -> None:
    alpha = np.full_like(GRAY16, 0x8080)
    both = pixels(tiff(np.dstack([GRAY16, alpha]), photometric="minisblack", extrasamples=["unassalpha"]))
    np.testing.assert_array_equal(both.array, GRAY16)
    assert both.alpha is not None
    assert set(np.unique(both.alpha)) == {0x8080}
    halved = np.dstack([np.rint(GRAY16 * (0x8080 / 65535)).astype(np.uint16)] * 3)
    whole = pixels(tiff(np.dstack([halved, alpha]), photometric="rgb", extrasamples=["assocalpha"]))
    assert near(whole, np.dstack([GRAY16] * 3), 3)
    planes = pixels(
        tiff(np.stack([GRAY16, GRAY16 // 2, GRAY16 // 3]), photometric="rgb", planarconfig="separate")
    )
    np.testing.assert_array_equal(planes.array, np.dstack([GRAY16, GRAY16 // 2, GRAY16 // 3]))
    assert planes.notes == [NO_PROFILE]
    colours = pixels(tiff(np.dstack([UNIT] * 3).astype(np.float32), photometric="rgb"))
    assert near(colours, np.dstack([GRAY16] * 3))


def test_16_bit_cmyk_by_the_plain_formula() -> None:
    ink = 65535 - GRAY16
    result = pixels(tiff(np.dstack([ink, ink, ink, np.zeros_like(ink)]), photometric="separated"))
    assert near(result, np.dstack([GRAY16] * 3))
    assert (result.mode, result.meta.icc) == ("CMYK;16", None)
    assert "no usable CMYK profile" in result.notes[0]


def test_a_transfer_function_takes_the_place_of_the_assumed_curve() -> None:
    linear = np.arange(65536, dtype=np.uint16)
    result = pixels(
        tiff(np.dstack([GRAY16] * 3), photometric="rgb", extratags=[(CURVE, 3, 65536, linear, True)])
    )
    wanted = linear_to_srgb(np.dstack([UNIT] * 3))
    assert np.abs(result.srgb8() - wanted * 255).max() <= 0.51
    apart = lightness(result.array, result.light) / L_U16_SCALE - srgb_to_lab(wanted)[..., 0]
    assert np.abs(apart).max() < 0.001
    assert result.notes == ["its transfer function was applied"]


def test_metadata_of_what_pillow_cannot_hold() -> None:
    data = tiff(
        np.dstack([UNIT] * 3).astype(np.float32), photometric="rgb", resolution=(300, 300), resolutionunit=2
    )
    assert pixels(data).meta.dpi == (300, 300)


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_what_is_cut_or_damaged_says_so(share: float) -> None:
    data = tiff(GRAY16)
    with pytest.raises(ImageFailure) as caught:
        pixels(data[: int(len(data) * share)])
    assert caught.value.code == FailureCode.TRUNCATED
    with pytest.raises(ImageFailure) as caught:
        pixels(tiff(np.where(UNIT > 0.5, np.nan, UNIT).astype(np.float32)))
    assert caught.value.code == FailureCode.CORRUPT


def test_12_bit_gray() -> None:
    packed = bytes([0x00, 0x0F, 0xFF, 0x80, 0x00, 0x00])  # 0, 4095, 2048, 0
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in {256: 4, 257: 1, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: 6}.items():
        directory[tag] = value
    header = b"II*\x00" + (14).to_bytes(4, "little") + packed
    data = bytearray(header + directory.tobytes(14))
    place = data.index((273).to_bytes(2, "little"), 14) + 8  # Pillow takes offsets to be behind the directory
    data[place : place + 4] = (8).to_bytes(4, "little")
    np.testing.assert_array_equal(pixels(bytes(data)).array, [[0, 65535, 32776, 0]])


def test_64_bit_numbers_are_named_as_unsupported() -> None:
    with pytest.raises(ImageFailure, match="64 bits") as caught:
        pixels(tiff(UNIT))
    assert caught.value.code == FailureCode.UNSUPPORTED


def test_10_bits_of_heic_and_avif_and_12_of_jpeg_2000_are_kept() -> None:
    ramp = np.broadcast_to(np.linspace(0, 65535, 640).astype(np.uint16), (64, 640))
    rgb16 = np.dstack([ramp] * 3)
    heic = io.BytesIO()
    pillow_heif.from_bytes("RGB;16", ramp.shape[::-1], rgb16.tobytes()).save(heic, quality=-1)
    avif = pyvips.Image.new_from_array(rgb16).copy(interpretation="rgb16")
    for data in (heic.getvalue(), bytes(avif.heifsave_buffer(compression="av1", bitdepth=10, Q=95))):
        result = pixels(data)
        assert np.abs(result.array.astype(int) - rgb16).mean() < 1200
        assert len(np.unique(result.array)) > 256
    white = Image.fromarray(np.full((40, 40), 65535, np.uint16))
    assert int(pixels(encoded(white, "JPEG2000")).array.min()) == 65535
    np.testing.assert_array_equal(deep_pixels.widened(np.array([[0, 0xFFF0]], np.uint16), 12), [[0, 65535]])
