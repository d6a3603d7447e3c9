"""The meaning of sample values: L* by the standards' formulas, in float64 without LittleCMS, all files."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

from pipeline.codecs.metadata.icc import read_curves
from pipeline.codecs.metadata.profiles import examine, to_profile
from pipeline.color.spaces import L_U16_SCALE, srgb_to_lab, srgb_to_linear
from tests.support import icc_profiles as made
from tests.support.samples import decoded, encoded, photo, toned

RAMP = {8: np.arange(256, dtype=np.uint8)[None].repeat(8, 0), 16: None}
RAMP[16] = np.arange(0, 65536, 128, dtype=np.uint16)[None].repeat(8, 0)
ALLOWED = {8: 0.6, 16: 0.1}


def tiff(array: np.ndarray, icc: bytes | None = None, **options: object) -> bytes:
    file = io.BytesIO()
    kind = "minisblack" if array.ndim == 2 else "rgb"
    tifffile.imwrite(file, array, **{"photometric": kind, "iccprofile": icc, **options})
    return file.getvalue()


def found_l(data: bytes) -> np.ndarray:
    return decoded(data, color_threshold=1000.0).L_u16 / L_U16_SCALE


EVEN = np.linspace(0, 1, 256)
Formula = Callable[[np.ndarray], np.ndarray]
CURVES: dict[str, tuple[bytes, Formula]] = {
    "identity": (b"curv\0\0\0\0\0\0\0\0", lambda v: v),
    "dot gain 10 %": (made.sampled(made.dot_gain(10)), lambda v: np.interp(v, EVEN, made.dot_gain(10))),
    "dot gain 20 %": (made.sampled(made.dot_gain(20)), lambda v: np.interp(v, EVEN, made.dot_gain(20))),
    "sampled, 4096": (made.sampled(np.linspace(0, 1, 4096) ** 2.6), lambda v: v**2.6),
    "sRGB, parametric": (
        made.parametric(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045),
        lambda v: srgb_to_linear(v),
    ),
    "offset, parametric": (
        made.parametric(4, 2.0, 0.9, 0.1, 0.5, 0.05, 0.0, 0.01),
        lambda v: np.where(v >= 0.05, (0.9 * v + 0.1) ** 2, 0.5 * v + 0.01),
    ),
    "CIE 122, parametric": (
        made.parametric(1, 2.2, 1.1, -0.1),
        lambda v: np.where(v >= 0.1 / 1.1, np.maximum(1.1 * v - 0.1, 0) ** 2.2, 0),
    ),
    "IEC 61966-3, parametric": (
        made.parametric(2, 2.0, 0.8, 0.0, 0.2),
        lambda v: (0.8 * v) ** 2 + 0.2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("name", CURVES)
def test_gray_profiles_of_every_curve(name: str, depth: int) -> None:
    curve, formula = CURVES[name]
    ramp = RAMP[depth]
    unit = ramp / np.iinfo(ramp.dtype).max
    apart = found_l(tiff(ramp, made.gray_profile(curve))) - made.l_star(formula(unit))
    assert np.abs(apart).max() < 0.02


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 512), st.sampled_from([8, 16]), st.booleans())
def test_gray_and_matrix_profiles_of_gamma_1_to_3(step: int, depth: int, gray: bool) -> None:
    gamma, ramp = 1 + step / 256, RAMP[depth]
    unit = ramp / np.iinfo(ramp.dtype).max
    curve = made.gamma_curve(gamma)
    icc = made.gray_profile(curve) if gray else made.matrix_profile([curve] * 3)
    samples = ramp if gray else np.dstack([ramp] * 3)
    apart = found_l(tiff(samples, icc)) - made.l_star(unit**gamma)
    assert np.abs(apart).max() < ALLOWED[depth] / 2


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([8, 16]), st.floats(1.0, 3.0), st.booleans())
def test_colours_of_matrix_profiles_keep_the_lightness_that_srgb_cannot_hold(
    seed: int, depth: int, gamma: float, wide: bool
) -> None:
    columns = made.PROPHOTO if wide else made.ADOBE_RGB
    dtype = np.uint8 if depth == 8 else np.uint16
    samples = np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, (16, 16, 3)).astype(dtype)
    icc = made.matrix_profile([made.parametric(0, gamma)] * 3, columns)
    linear = (samples / np.iinfo(dtype).max) ** (round(gamma * 65536) / 65536)
    bradford = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    d65 = np.array([0.3127 / 0.3290, 1, (1 - 0.3127 - 0.3290) / 0.3290])
    adapt = np.linalg.inv(bradford) @ np.diag(bradford @ d65 / (bradford @ made.D50)) @ bradford
    y = (linear @ (adapt @ columns).T)[..., 1]
    assert np.abs(found_l(tiff(samples, icc)) - made.l_star(y)).max() < 0.05


def test_gray_under_a_connection_space_of_lab_leads_to_lightness() -> None:
    unit = RAMP[16] / 65535
    result = found_l(tiff(RAMP[16], made.gray_profile(made.gamma_curve(1.0), pcs=b"Lab ")))
    assert np.abs(result - 100 * unit).max() < 0.01


def test_gray_under_an_rgb_profile_is_its_gray_axis() -> None:
    icc = made.matrix_profile([made.gamma_curve(1.8)] * 3, made.PROPHOTO)
    for depth in (8, 16):
        unit = RAMP[depth] / np.iinfo(RAMP[depth].dtype).max
        assert np.abs(found_l(tiff(RAMP[depth], icc)) - made.l_star(unit ** (461 / 256))).max() < 0.02


def test_the_published_approximations_of_srgb_are_not_srgb_at_16_bits() -> None:
    rough = made.sampled(srgb_to_linear(np.linspace(0, 1, 64)))
    columns = np.array(
        [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]
    )
    icc = made.matrix_profile([rough] * 3, columns)
    assert examine(icc).is_srgb
    unit = RAMP[16] / 65535
    wanted = made.l_star(np.interp(unit, np.linspace(0, 1, 64), srgb_to_linear(np.linspace(0, 1, 64))))
    assert np.abs(found_l(tiff(np.dstack([RAMP[16]] * 3), icc)) - wanted).max() < 0.02
    assert to_profile(np.dstack([RAMP[16]] * 3), icc) is not None
    assert to_profile(np.dstack([RAMP[8]] * 3), icc) is None


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("gamma", [1.8, 2.2])
def test_into_a_profile_and_back_is_the_same_lightness(depth: int, gamma: float) -> None:
    rgb = toned(photo())
    rgb = rgb if depth == 8 else rgb.astype(np.uint16) * 257
    icc = made.matrix_profile([made.gamma_curve(gamma)] * 3)
    converted = to_profile(rgb, icc)
    assert converted is not None
    assert converted.dtype == rgb.dtype
    wanted = srgb_to_lab(rgb / np.iinfo(rgb.dtype).max)[..., 0]
    assert np.abs(found_l(tiff(converted, icc)) - wanted).max() < (0.45 if depth == 8 else 0.01)


def lut_profile() -> bytes:
    """RGB to Lab by a table of 2 x 2 x 2 and curves, as of scanners' calibrations; there is no way back."""
    corners = np.zeros((2, 2, 2, 3))
    for r in (0, 1):
        for g in (0, 1):
            for b in (0, 1):
                corners[r, g, b] = (r * 30 + g * 60 + b * 10) / 100, 128 / 255, 128 / 255
    table = np.rint(corners.reshape(-1) * np.array([65280, 65280, 65280] * 8)).astype(">u2")
    identity = b"".join(s.to_bytes(4, "big") for s in (65536, 0, 0, 0, 65536, 0, 0, 0, 65536))
    ramp = np.array([0, 65535], ">u2").tobytes()
    body = b"mft2\0\0\0\0" + bytes([3, 3, 2, 0]) + identity + struct.pack(">HH", 2, 2)
    return made.profile(
        b"RGB ", {b"A2B0": body + ramp * 3 + table.tobytes() + ramp * 3}, pcs=b"Lab ", kind=b"scnr"
    )


@pytest.mark.parametrize("depth", [8, 16])
def test_a_profile_of_tables_that_can_only_be_read(depth: int) -> None:
    icc, ramp = lut_profile(), RAMP[depth]
    profile = examine(icc)
    assert (profile.mode, profile.writable, profile.problem) == ("RGB", False, None)
    assert read_curves(icc) is None
    result = decoded(tiff(np.dstack([ramp] * 3), icc))
    assert result.depth == depth
    assert np.abs(result.L_u16 / L_U16_SCALE - ramp / np.iinfo(ramp.dtype).max * 100).max() < 0.1
    assert to_profile(np.dstack([ramp] * 3), icc) is None
    gray = found_l(tiff(ramp, icc))
    assert np.abs(gray - ramp / np.iinfo(ramp.dtype).max * 100).max() < 0.1


def png(array: np.ndarray, *chunks: tuple[bytes, bytes], icc: bytes | None = None) -> bytes:
    data = encoded(Image.fromarray(array), "PNG", icc_profile=icc)
    added = b"".join(png_chunk(kind, content) for kind, content in chunks)
    return data[:33] + added + data[33:]


def png_chunk(kind: bytes, content: bytes) -> bytes:
    file = io.BytesIO()
    PngImagePlugin.putchunk(file, kind, content)
    return file.getvalue()


def gama(value: int) -> tuple[bytes, bytes]:
    return b"gAMA", struct.pack(">L", value)


UNIT8 = RAMP[8] / 255


def test_srgb_of_littlecms_is_srgb_to_the_bit() -> None:
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for depth in (8, 16):
        samples = np.dstack([RAMP[depth]] * 3)
        np.testing.assert_array_equal(found_l(tiff(samples, icc)), found_l(tiff(samples)))


@pytest.mark.parametrize("cut", [100, 132, 200, 400, -1])
def test_a_broken_profile_is_ignored_with_a_note(cut: int) -> None:
    icc = made.matrix_profile([made.gamma_curve(1.0)] * 3)
    rng = np.random.default_rng(cut % 1000)
    broken = icc[:cut] if cut > 0 else icc[:132] + rng.integers(0, 256, len(icc) - 132, np.uint8).tobytes()
    result = decoded(tiff(np.dstack([RAMP[8]] * 3), broken))
    assert "its colour profile was ignored" in (result.note or "")
    np.testing.assert_array_equal(result.L_u16 / L_U16_SCALE, found_l(tiff(np.dstack([RAMP[8]] * 3))))
