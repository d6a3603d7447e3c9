"""Colour: round trips, agreement with scikit-image, gray, gamut, and the torch twins."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from skimage.color import rgb2lab, rgb2yuv

from pipeline.color import kernels, luminance, spaces, spaces_torch
from tests.support.color_reference import neutral_fade

F64 = NDArray[np.float64]
GRAYS = np.repeat(np.arange(256)[:, None] / 255, 3, axis=1)


def colours(low: float = 0, high: float = 1) -> st.SearchStrategy[F64]:
    shapes = array_shapes(max_dims=3, max_side=5).map(lambda shape: (*shape, 3))
    return arrays(np.float64, shapes, elements=st.floats(low, high))


def random_srgb(n: int = 4000) -> F64:
    return np.random.default_rng(5).random((n, 3))


def random_lab(n: int = 4000) -> F64:
    rng = np.random.default_rng(6)
    return np.stack([rng.uniform(0, 100, n), *rng.uniform(-160, 160, (2, n))], axis=-1)


@given(colours())
def test_lab_and_yuv_round_trip(srgb: F64) -> None:
    np.testing.assert_allclose(spaces.lab_to_srgb(spaces.srgb_to_lab(srgb), clip=False), srgb, atol=1e-6)
    np.testing.assert_allclose(spaces.srgb_to_yuv(srgb) @ spaces.YUV_TO_RGB.T, srgb, atol=1e-12)


def test_chroma_comes_back_from_u_and_v_and_the_lightness() -> None:
    """Of any colour of this chroma, in sRGB or not: the luma is found, not the gray's."""
    lab = random_lab() * [1, 0.75, 0.75]
    np.testing.assert_allclose(spaces.uv_to_ab(lab[:, 0], spaces.lab_to_uv(lab)), lab[:, 1:], atol=1e-7)
    gray = spaces.uv_to_ab(lab[:, 0].astype(np.float32), np.zeros((len(lab), 2), np.float32))
    assert gray.dtype == np.float32
    assert np.abs(gray).max() < 1e-3


def test_lab_and_yuv_agree_with_scikit_image() -> None:
    srgb = random_srgb()
    # scikit-image rounds the matrix and the white point to 4 to 6 digits
    np.testing.assert_allclose(spaces.srgb_to_lab(srgb), rgb2lab(srgb), atol=0.03)
    np.testing.assert_allclose(spaces.srgb_to_yuv(srgb), rgb2yuv(srgb), atol=1e-4)


def test_known_colours() -> None:
    # Lindbloom's calculator, sRGB, D65
    srgb = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1], [0, 0, 0]])
    lab = [[53.24, 80.09, 67.20], [87.74, -86.18, 83.18], [32.30, 79.19, -107.86], [100, 0, 0], [0, 0, 0]]
    np.testing.assert_allclose(spaces.srgb_to_lab(srgb), lab, atol=0.05)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-4)])
def test_gray_has_no_chroma_and_keeps_its_dtype(dtype: type, tolerance: float) -> None:
    lab = spaces.srgb_to_lab(GRAYS.astype(dtype))
    assert lab.dtype == dtype
    assert np.abs(lab[:, 1:]).max() <= tolerance
    assert (np.diff(lab[:, 0]) > 0).all()
    assert spaces.lab_to_srgb(lab).dtype == dtype
    assert spaces.reduce_chroma_to_gamut(lab).dtype == dtype


def test_nan_stays_where_it_is() -> None:
    srgb = np.full((2, 3), 0.5)
    srgb[0] = np.nan
    lab = spaces.srgb_to_lab(srgb)
    assert np.isnan(lab[0]).all()
    assert np.isfinite(lab[1]).all()


@given(arrays(np.float64, (7, 3), elements=st.floats(-200, 200)), st.sampled_from([np.float32, np.float64]))
@settings(max_examples=60)
def test_gamut_reduction_keeps_lightness_and_hue(raw: F64, dtype: type) -> None:
    lab = raw.copy()
    lab[:, 0] = np.abs(raw[:, 0]) / 2
    lab = lab.astype(dtype)
    reduced = spaces.reduce_chroma_to_gamut(lab)
    assert spaces.in_gamut(reduced).all()
    np.testing.assert_array_equal(reduced[:, 0], lab[:, 0])
    share = np.hypot(*reduced[:, 1:].T) / np.maximum(np.hypot(*lab[:, 1:].T), 1e-30)
    assert (share <= 1 + 1e-6).all()
    np.testing.assert_allclose(reduced[:, 1:], lab[:, 1:] * share[:, None], atol=1e-3)


def test_gamut_reduction_leaves_what_is_inside_and_stops_at_the_edge() -> None:
    inside = spaces.srgb_to_lab(random_srgb())
    np.testing.assert_array_equal(spaces.reduce_chroma_to_gamut(inside), inside)
    lab = random_lab()
    reduced = spaces.reduce_chroma_to_gamut(lab)
    moved = (reduced != lab).any(axis=-1)
    assert moved.mean() > 0.5
    beyond = reduced[moved]
    beyond[:, 1:] += (lab - reduced)[moved][:, 1:] * 0.01
    # a hair further along the line is outside: no chroma was given away
    assert (~spaces.in_gamut(beyond)).mean() > 0.99


def test_neutral_fade_is_zero_at_the_ends_and_smooth() -> None:
    weights = neutral_fade(np.linspace(-5, 105, 1101))
    assert weights[:51].max() == 0
    assert weights[1050:].max() == 0
    assert neutral_fade(np.array([8.0, 30, 60, 94])).tolist() == [1, 1, 1, 1]
    assert np.abs(np.diff(weights)).max() < 0.03


def test_the_torch_twins_agree_and_have_gradients_everywhere() -> None:
    srgb = np.concatenate([random_srgb(), GRAYS, np.eye(3)])
    rgb_B3HW = torch.tensor(srgb.T.reshape(1, 3, -1, 1), requires_grad=True)

    def rows(tensor: torch.Tensor) -> F64:
        return tensor.detach().numpy().reshape(3, -1).T

    lab_B3HW = spaces_torch.srgb_to_lab_t(rgb_B3HW)
    np.testing.assert_allclose(rows(lab_B3HW), spaces.srgb_to_lab(srgb), atol=1e-9)
    yuv_B3HW = spaces_torch.srgb_to_yuv_t(rgb_B3HW)
    np.testing.assert_allclose(rows(yuv_B3HW), spaces.srgb_to_yuv(srgb), atol=1e-12)
    np.testing.assert_allclose(rows(spaces_torch.yuv_to_srgb_t(yuv_B3HW)), srgb, atol=1e-9)
    wild = random_lab(len(srgb))
    wild_B3HW = torch.tensor(wild.T.reshape(1, 3, -1, 1))
    back = spaces_torch.lab_to_srgb_t(wild_B3HW, clip=False)
    np.testing.assert_allclose(rows(back), spaces.lab_to_srgb(wild, clip=False), atol=1e-9)
    (lab_B3HW.square().sum() + spaces_torch.lab_to_srgb_t(lab_B3HW).sum()).backward()  # type: ignore[no-untyped-call]
    assert rgb_B3HW.grad is not None
    assert torch.isfinite(rgb_B3HW.grad).all()


def test_every_definition_of_the_curves_is_the_one_in_spaces() -> None:
    """Compiled loops and torch have their own code for the curves of sRGB and L*: none may drift apart."""
    y = np.concatenate([np.linspace(0, 1, 4001), [spaces.LAB_DELTA**3, spaces.LINEAR_KNEE]])
    f, levels = spaces.lab_f(y), spaces.linear_to_srgb(y)
    np.testing.assert_allclose(spaces.lab_f_inverse(f), y, atol=1e-12)
    np.testing.assert_allclose(spaces.srgb_to_linear(levels), y, atol=1e-6)  # the standard's knees: 7 digits
    np.testing.assert_allclose([kernels._f(np.float32(one)) for one in y], f, atol=2e-7)
    np.testing.assert_allclose([kernels._f_inverse(np.float32(one)) for one in f], y, atol=2e-7)
    tensor = torch.from_numpy(y)
    np.testing.assert_allclose(spaces_torch.linear_to_srgb_t(tensor), levels, atol=1e-12)
    np.testing.assert_allclose(spaces_torch.srgb_to_linear_t(torch.from_numpy(levels)), y, atol=1e-6)
    np.testing.assert_allclose(spaces_torch.gray_level_t(torch.from_numpy(116 * f - 16)), levels, atol=1e-12)
    for bits, of_gray in ((8, luminance.luminance_u16_from_gray8), (16, luminance.luminance_u16_from_gray16)):
        gray = np.arange(2**bits).astype(f"uint{bits}")[None]
        lightness = 116 * spaces.lab_f(spaces.linear_of_levels(bits)) - 16
        np.testing.assert_array_equal(of_gray(gray)[0], np.round(lightness * spaces.L_U16_SCALE))


def test_wrong_arrays_are_refused() -> None:
    with pytest.raises(TypeError, match="uint8"):
        spaces.srgb_to_lab(np.zeros((2, 3), np.uint8))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="3 channels"):
        spaces.srgb_to_lab(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="B,3,H,W"):
        spaces_torch.srgb_to_lab_t(torch.zeros(3, 4, 4))
