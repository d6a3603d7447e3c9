"""Composition: lightness kept, gray, a float64 reference, alpha, odd sizes, and the measurements."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.color import metrics, spaces
from pipeline.color.luminance import luminance_u16_from_gray8
from pipeline.shard.compose import Composer, ComposeSettings, compose, measure
from tests.support.color_reference import mean_chroma, neutral_fade

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]
U16 = NDArray[np.uint16]


def random_input(seed: int, size: tuple[int, int], low: tuple[int, int], scale: float) -> tuple[U16, F32]:
    rng = np.random.default_rng(seed)
    l_u16 = rng.integers(0, 65536, size, dtype=np.uint16)
    return l_u16, rng.normal(0, scale, (2, *low)).astype(np.float32)


def upsampled(channel: F32, size: tuple[int, int]) -> F64:
    """Bilinear with aligned pixel centres, by the definition: one pixel at a time."""
    out = np.empty(size)
    for y, x in np.ndindex(*size):
        v = min(max((y + 0.5) * channel.shape[0] / size[0] - 0.5, 0), channel.shape[0] - 1)
        u = min(max((x + 0.5) * channel.shape[1] / size[1] - 0.5, 0), channel.shape[1] - 1)
        y0, x0 = int(v), int(u)
        y1, x1 = min(y0 + 1, channel.shape[0] - 1), min(x0 + 1, channel.shape[1] - 1)
        above = channel[y0, x0] * (1 - (u - x0)) + channel[y0, x1] * (u - x0)
        below = channel[y1, x0] * (1 - (u - x0)) + channel[y1, x1] * (u - x0)
        out[y, x] = above * (1 - (v - y0)) + below * (v - y0)
    return out


def reference(l_u16: U16, ab_2hw: F32) -> tuple[F64, NDArray[np.bool_]]:
    """sRGB levels in float64, not rounded, through `color.spaces`, and what lies off the gamut's edge."""
    lightness = l_u16.astype(np.float64) / spaces.L_U16_SCALE
    fade = neutral_fade(lightness)
    ab = [upsampled(channel, l_u16.shape) * fade for channel in ab_2hw]
    wanted = np.stack([lightness, *ab], axis=-1)
    lab = spaces.reduce_chroma_to_gamut(wanted)
    inside = spaces.in_gamut(wanted) & spaces.in_gamut(wanted * [1, 1.05, 1.05])
    return np.asarray(spaces.lab_to_srgb(lab) * 255, dtype=np.float64), inside


@given(
    st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40),
    st.integers(1, 50), st.integers(1, 50), st.floats(0, 1e6),
)  # fmt: skip
@settings(max_examples=80, deadline=None)
def test_lightness_is_kept_whatever_the_chroma(
    seed: int, h: int, w: int, lh: int, lw: int, scale: float
) -> None:
    l_u16, ab_2hw = random_input(seed, (h, w), (lh, lw), scale)
    composed = compose(l_u16, ab_2hw, None)
    lightness = spaces.srgb_to_lab(composed.rgb / 255)[..., 0]
    true_max = np.abs(lightness - l_u16 / spaces.L_U16_SCALE).max()
    assert true_max < 1.0
    assert composed.max_delta_l == pytest.approx(true_max, abs=1e-3)


def test_lightness_is_kept_for_every_lightness_and_hue() -> None:
    l_u16 = np.arange(65536, dtype=np.uint16).reshape(1024, 64)
    for hue in np.arange(0, 2 * np.pi, np.pi / 6):
        ab_2hw = np.array([np.cos(hue), np.sin(hue)], np.float32).reshape(2, 1, 1)
        for chroma in (5, 60, 300):
            assert compose(l_u16, ab_2hw * np.float32(chroma)).max_delta_l < 0.5


def test_gray_comes_back_as_the_gray_it_was() -> None:
    gray8 = np.arange(256, dtype=np.uint8).reshape(16, 16)
    composed = compose(luminance_u16_from_gray8(gray8), np.zeros((2, 3, 5), np.float32))
    np.testing.assert_array_equal(composed.rgb, np.repeat(gray8[..., None], 3, axis=2))
    assert composed.max_delta_l < 0.001
    assert composed.colorfulness == 0
    assert composed.mean_chroma == 0
    every = compose(np.arange(65536, dtype=np.uint16).reshape(256, 256), np.zeros((2, 1, 1), np.float32)).rgb
    assert (every == every[..., :1]).all()


@pytest.mark.parametrize("scale", [8, 30, 120])
@pytest.mark.parametrize(("size", "low"), [((37, 51), (9, 13)), ((20, 1100), (5, 3)), ((12, 9), (24, 31))])
def test_the_pixels_are_those_of_a_float64_reference(
    scale: float, size: tuple[int, int], low: tuple[int, int]
) -> None:
    l_u16, ab_2hw = random_input(7, size, low, scale)
    levels, inside = reference(l_u16, ab_2hw)
    difference = np.abs(compose(l_u16, ab_2hw).rgb - levels).max(axis=-1)
    assert inside.any()
    assert difference[inside].max() < 0.53  # rounding, and half a step of the table at the darkest levels
    # Where a line to the neutral axis grazes the gamut's edge, single and double precision may stop
    # at different crossings, both in gamut.
    assert (difference > 1).mean() < 0.01


def test_black_and_white_stay_neutral() -> None:
    l_u16 = np.array([[0, 65535]], np.uint16)
    rgb8 = compose(l_u16, np.full((2, 1, 1), 60, np.float32)).rgb
    np.testing.assert_array_equal(rgb8, [[[0, 0, 0], [255, 255, 255]]])
    faded = compose(
        np.full((1, 1), round(97 * spaces.L_U16_SCALE), np.uint16), np.full((2, 1, 1), 2, np.float32)
    )
    full = compose(
        np.full((1, 1), round(90 * spaces.L_U16_SCALE), np.uint16), np.full((2, 1, 1), 2, np.float32)
    )
    assert faded.mean_chroma < 0.75 * full.mean_chroma


def test_invisible_pixels_stay_gray_and_are_not_counted() -> None:
    l_u16, ab_2hw = random_input(3, (30, 2000), (6, 9), 20)
    alpha = np.random.default_rng(4).integers(0, 2, l_u16.shape, dtype=np.uint8) * np.uint8(255)
    composed, plain = compose(l_u16, ab_2hw, alpha), compose(l_u16, ab_2hw)
    hidden = composed.rgb[alpha == 0]
    assert (hidden == hidden[:, :1]).all()
    np.testing.assert_array_equal(composed.rgb[alpha > 0], plain.rgb[alpha > 0])
    seen = composed.rgb[alpha > 0][None]
    assert composed.colorfulness == pytest.approx(metrics.colorfulness(seen))
    assert composed.mean_chroma == pytest.approx(mean_chroma(seen), abs=0.02)
    assert compose(l_u16, ab_2hw, np.zeros_like(alpha)).mean_chroma == 0


def test_measurements_agree_with_the_metrics() -> None:
    l_u16, ab_2hw = random_input(5, (40, 1500), (10, 12), 25)
    composed = compose(l_u16, ab_2hw)
    assert composed.colorfulness == pytest.approx(metrics.colorfulness(composed.rgb))
    again = measure(composed.rgb, l_u16)
    assert again.mean_chroma == pytest.approx(mean_chroma(composed.rgb), abs=1e-3)
    assert composed.mean_chroma == pytest.approx(again.mean_chroma, abs=0.02)  # before rounding to levels
    assert composed.max_delta_l == pytest.approx(again.max_delta_l, abs=1e-3)
    assert composed.colorfulness == again.colorfulness
    spoilt = composed.rgb.copy()
    spoilt[17, 1201] = 255 if l_u16[17, 1201] < 30000 else 0
    assert measure(spoilt, l_u16).max_delta_l > 40


def test_the_chroma_setting_scales_and_zero_is_gray() -> None:
    l_u16, ab_2hw = random_input(6, (20, 20), (5, 5), 6)
    assert compose(l_u16, ab_2hw, settings=ComposeSettings(chroma=0)).colorfulness == 0
    doubled = compose(l_u16, ab_2hw, settings=ComposeSettings(chroma=2)).rgb
    np.testing.assert_array_equal(doubled, compose(l_u16, ab_2hw * 2).rgb)
    with pytest.raises(ValueError, match="chroma -1"):
        ComposeSettings(chroma=-1)


def test_the_same_bits_every_time_and_for_any_memory_layout() -> None:
    l_u16, ab_2hw = random_input(8, (33, 70), (9, 8), 30)
    first = compose(l_u16, ab_2hw).rgb
    np.testing.assert_array_equal(first, compose(np.asfortranarray(l_u16), np.asfortranarray(ab_2hw)).rgb)
    np.testing.assert_array_equal(first[:, ::-1], compose(l_u16[:, ::-1], ab_2hw[:, :, ::-1]).rgb)


@given(
    st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40),
    st.integers(1, 50), st.integers(1, 50), st.floats(0, 1e6),
)  # fmt: skip
@settings(max_examples=80, deadline=None)
def test_sixteen_bits_keep_lightness_to_a_tenth_whatever_the_chroma(
    seed: int, h: int, w: int, lh: int, lw: int, scale: float
) -> None:
    l_u16, ab_2hw = random_input(seed, (h, w), (lh, lw), scale)
    composed = compose(l_u16, ab_2hw, depth=16)
    assert composed.rgb.dtype == np.uint16
    lightness = spaces.srgb_to_lab(composed.rgb / 65535)[..., 0]
    true_max = np.abs(lightness - l_u16 / spaces.L_U16_SCALE).max()
    assert true_max < 0.1
    assert composed.max_delta_l == pytest.approx(true_max, abs=1e-3)


def test_sixteen_bits_keep_every_lightness_in_every_hue_and_gray_stays_gray() -> None:
    l_u16 = np.arange(65536, dtype=np.uint16).reshape(1024, 64)
    for hue in np.arange(0, 2 * np.pi, np.pi / 6):
        ab_2hw = np.array([np.cos(hue), np.sin(hue)], np.float32).reshape(2, 1, 1)
        for chroma in (5, 60, 300):
            assert compose(l_u16, ab_2hw * np.float32(chroma), depth=16).max_delta_l < 0.02
    gray = compose(l_u16, np.zeros((2, 1, 1), np.float32), depth=16)
    assert (gray.rgb == gray.rgb[..., :1]).all()
    assert gray.max_delta_l < 0.002
    assert (np.diff(gray.rgb[..., 0].ravel().astype(int)) >= 0).all()
    assert (gray.rgb[0, 0, 0], gray.rgb[-1, -1, 0]) == (0, 65535)


def test_sixteen_bits_are_those_of_a_float64_reference_and_measured_as_eight_bits_are() -> None:
    l_u16, ab_2hw = random_input(11, (40, 1500), (9, 13), 25)
    levels, inside = reference(l_u16, ab_2hw)
    deep, everyday = compose(l_u16, ab_2hw, depth=16), compose(l_u16, ab_2hw)
    difference = np.abs(deep.rgb - levels * 257).max(axis=-1)
    assert difference[inside].max() < 3  # of 65535: single precision
    assert deep.colorfulness == pytest.approx(everyday.colorfulness, rel=1e-3)
    assert deep.mean_chroma == pytest.approx(everyday.mean_chroma, rel=1e-2)
    again = measure(deep.rgb, l_u16)
    assert again.max_delta_l == pytest.approx(deep.max_delta_l, abs=1e-3)
    assert again.colorfulness == deep.colorfulness


@given(
    st.integers(0, 2**32 - 1), st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 1100),
    st.integers(1, 30), st.integers(1, 30), st.sampled_from([8, 16]), st.booleans(),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_strips_together_are_the_whole(
    seed: int, strips: list[int], w: int, lh: int, lw: int, depth: int, has_alpha: bool
) -> None:
    l_u16, ab_2hw = random_input(seed, (sum(strips), w), (lh, lw), 40)
    alpha = np.random.default_rng(seed).integers(0, 2, l_u16.shape, dtype=np.uint8) if has_alpha else None
    whole = compose(l_u16, ab_2hw, alpha, depth=depth)
    composer, parts, top = Composer(ab_2hw, *l_u16.shape, depth=depth), [], 0
    for rows in strips:
        seen = None if alpha is None else alpha[top : top + rows]
        parts.append(composer.strip(l_u16[top : top + rows], seen))
        top += rows
    np.testing.assert_array_equal(np.concatenate(parts), whole.rgb)
    result = composer.measures()
    assert (result.max_delta_l, result.mean_chroma, result.colorfulness) == (
        whole.max_delta_l, whole.mean_chroma, whole.colorfulness,
    )  # fmt: skip
    with pytest.raises(ValueError, match="are not of"):
        composer.strip(l_u16[:1])


def test_wrong_arrays_are_refused() -> None:
    l_u16, ab_2hw = random_input(9, (4, 4), (2, 2), 10)
    broken = ab_2hw.copy()
    broken[1, 0, 0] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        compose(l_u16, broken)
    with pytest.raises(ValueError, match="float32"):
        compose(l_u16, ab_2hw.astype(np.float64))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="uint16"):
        compose(l_u16.astype(np.uint8), ab_2hw)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="alpha"):
        compose(l_u16, ab_2hw, np.zeros((2, 2), np.uint8))
    with pytest.raises(ValueError, match="depth 12"):
        compose(l_u16, ab_2hw, depth=12)
    with pytest.raises(ValueError, match="expected uint8 or uint16"):
        measure(np.zeros((4, 5, 3), np.uint8), l_u16)
