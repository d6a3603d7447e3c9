"""The colour information of PNG, JP2 and TIFF other than ICC profiles, compared with formulas in float64."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from imagecodecs import jpeg2k_encode

from pipeline.codecs.jp2 import box, boxes
from pipeline.codecs.metadata.profiles import srgb_profile
from pipeline.color.spaces import L_U16_SCALE, srgb_to_lab
from tests.codecs.test_sample_light import RAMP, UNIT8, found_l, gama, png, tiff
from tests.support import icc_profiles as made
from tests.support.samples import decoded


@pytest.mark.parametrize("mode", ["gray", "rgb", "gray16"])
@pytest.mark.parametrize("gamma", [100_000, 55_556, 45_000, 33_333])
def test_png_gamma(gamma: int, mode: str) -> None:
    array = {"gray": RAMP[8], "rgb": np.dstack([RAMP[8]] * 3), "gray16": RAMP[16]}[mode]
    unit = (array if array.ndim == 2 else array[..., 0]) / np.iinfo(array.dtype).max
    result = decoded(png(array, gama(gamma)))
    wanted = made.l_star(unit ** (100_000 / gamma))
    assert np.abs(result.L_u16 / L_U16_SCALE - wanted).max() < 0.01
    assert f"gAMA {gamma / 100_000:g} was applied" in (result.note or "")
    assert result.meta.changes[0] == f"icc: none, gAMA {gamma / 100_000:g}"


def test_png_order_of_what_it_says() -> None:
    srgb, linear = srgb_to_lab(np.dstack([UNIT8] * 3))[..., 0], made.l_star(UNIT8)
    gray_icc = made.gray_profile(made.gamma_curve(3.0))
    cicp = (b"cICP", bytes([1, 8, 0, 1]))
    cases = (
        ([gama(45_455)], None, srgb),
        ([(b"sRGB", b"\0"), gama(100_000)], None, srgb),
        ([gama(100_000)], gray_icc, made.l_star(UNIT8**3)),
        ([cicp, gama(45_455)], gray_icc, linear),
        ([(b"cICP", bytes([1, 16, 0, 1])), gama(100_000)], None, linear),  # PQ is of no use here
        ([gama(0)], None, srgb),
        ([gama(100_000)], b"no profile", linear),
        ([(b"cICP", bytes([1, 8, 0, 0]))], None, made.l_star(np.clip((UNIT8 * 255 - 16) / 219, 0, 1))),
    )
    for chunks, icc, wanted in cases:
        result = found_l(png(RAMP[8], *chunks, icc=icc))
        assert np.abs(result - wanted).max() < 0.2, (chunks, icc)


def test_png_primaries_of_gray_are_gray_and_those_of_colour_count() -> None:
    wide = struct.pack(">8L", 31_270, 32_900, 70_800, 29_200, 17_000, 79_700, 13_100, 4_600)
    rgb = np.dstack([RAMP[8]] * 3)
    assert (
        np.abs(found_l(png(rgb, gama(45_455), (b"cHRM", wide))) - srgb_to_lab(rgb / 255)[..., 0]).max() < 0.01
    )
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 255
    result = found_l(png(red, gama(45_455), (b"cHRM", wide)))
    assert np.abs(result - made.l_star(np.float64(0.2627))).max() < 0.02  # ITU-R BT.2020


def jp2(array: np.ndarray, *colr: bytes) -> bytes:
    coded = bytes(jpeg2k_encode(np.ascontiguousarray(array), level=0, codecformat="jp2", reversible=True))
    parts = []
    for kind, content in boxes(coded):
        if kind == b"jp2h":
            kept = [box(k, c) for k, c in boxes(content) if k != b"colr"]
            content = b"".join([*kept, *(box(b"colr", one) for one in colr)])
        parts.append(box(kind, content))
    return b"".join(parts)


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("method", [2, 3])
@pytest.mark.parametrize("colour", [False, True])
def test_jp2_profiles_mean_what_they_do_in_tiff(depth: int, method: int, colour: bool) -> None:
    ramp = RAMP[depth]
    samples = np.dstack([ramp] * 3) if colour else ramp
    curve = made.sampled(made.dot_gain(20))
    icc = made.matrix_profile([curve] * 3) if colour else made.gray_profile(curve)
    data = jp2(samples, bytes([method, 0, 0]) + icc)
    np.testing.assert_array_equal(found_l(data), found_l(tiff(samples, icc)))
    assert np.abs(found_l(data) - found_l(tiff(samples))).max() > 5
    assert "icc: none, sRGB assumed" not in decoded(data).meta.changes


def test_jp2_enumerated_spaces_and_the_first_box_that_is_understood() -> None:
    srgb = srgb_to_lab(np.dstack([UNIT8] * 3))[..., 0]
    gray_icc = bytes([2, 0, 0]) + made.gray_profile(made.gamma_curve(1.0))
    number = [struct.pack(">BBBL", 1, 0, 0, space) for space in (16, 17, 99)]
    assert np.abs(found_l(jp2(RAMP[8], number[1])) - srgb).max() < 0.2
    assert np.abs(found_l(jp2(RAMP[8], number[1], gray_icc)) - srgb).max() < 0.2
    assert np.abs(found_l(jp2(RAMP[8], number[2], gray_icc)) - made.l_star(UNIT8)).max() < 0.02
    romm = struct.pack(">BBBL", 1, 0, 0, 21)
    result = found_l(jp2(np.dstack([RAMP[16]] * 3), romm))
    unit = RAMP[16] / 65535
    assert np.abs(result - made.l_star(np.where(unit < 16 / 512, unit / 16, unit**1.8))).max() < 0.02
    raw = bytes(jpeg2k_encode(RAMP[8], level=0, codecformat="j2k", reversible=True))
    assert np.abs(found_l(raw) - srgb).max() < 0.2


CURVE_TAG, RANGE_TAG = 301, 532


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("colour", [False, True])
def test_tiff_transfer_functions_of_one_curve_or_three(depth: int, colour: bool) -> None:
    ramp = RAMP[depth]
    most = np.iinfo(ramp.dtype).max
    table = np.rint((np.arange(most + 1) / most) ** 1.5 * 65535).astype(np.uint16)
    samples = np.dstack([ramp] * 3) if colour else ramp
    for count in (1, 3) if colour else (1,):
        tags = [(CURVE_TAG, 3, count * (most + 1), np.tile(table, count), True)]
        result = decoded(tiff(samples, extratags=tags))
        assert np.abs(result.L_u16 / L_U16_SCALE - made.l_star((ramp / most) ** 1.5)).max() < 0.02
        assert result.note == "its transfer function was applied"
        assert result.meta.changes[0] == "icc: none, transfer function"
        under = decoded(
            tiff(
                samples,
                srgb_profile() if colour else made.gray_profile(made.gamma_curve(1.0)),
                extratags=tags,
            )
        )
        assert "transfer" not in (under.note or "")


@pytest.mark.parametrize("rising", [True, False])
def test_a_transfer_function_of_min_is_white(rising: bool) -> None:
    light = np.arange(256) / 255
    table = np.rint((light if rising else 1 - light) ** 1.5 * 65535).astype(np.uint16)
    tags = [(CURVE_TAG, 3, 256, table, True)]
    result = found_l(tiff(255 - RAMP[8], photometric="miniswhite", extratags=tags))
    assert np.abs(result - made.l_star((RAMP[8] / 255) ** 1.5)).max() < 0.02


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("colour", [False, True])
def test_tiff_reference_black_and_white(depth: int, colour: bool) -> None:
    ramp, scale = RAMP[depth], 1 if depth == 8 else 257
    samples = np.dstack([ramp] * 3) if colour else ramp
    numbers = (16 * scale, 1, 235 * scale, 1) * 3
    unit = np.clip((ramp / scale - 16) / 219, 0, 1)
    result = decoded(tiff(samples, extratags=[(RANGE_TAG, 5, 6, numbers, True)]))
    assert np.abs(result.L_u16 / L_U16_SCALE - srgb_to_lab(np.dstack([unit] * 3))[..., 0]).max() < 0.02
    assert "ReferenceBlackWhite was applied" in (result.note or "")
    plain = decoded(tiff(samples, extratags=[(RANGE_TAG, 5, 6, (0, 1, 255 * scale, 1) * 3, True)]))
    assert "ReferenceBlackWhite" not in (plain.note or "")
