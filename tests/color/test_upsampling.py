"""Chroma at full size: on the edges of the lightness, never stronger, never broken."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from pipeline.color.luminance import downscale_luminance, luminance_u16_from_gray8
from pipeline.color.upsampling import guided_upsample
from tests.support.paths import SAMPLES as PHOTOS

F32 = NDArray[np.float32]


def bilinear(ab_2hw: F32, shape: tuple[int, ...]) -> F32:
    size = (shape[1], shape[0])
    return np.stack([np.asarray(Image.fromarray(p).resize(size, Image.Resampling.BILINEAR)) for p in ab_2hw])


def test_edges_are_sharper_than_bilinear() -> None:
    """A photograph whose dark and light parts have two colours: the chroma finds their outlines again."""
    with Image.open(PHOTOS / "buffalo-savings-bank-1908.jpg") as image:
        l_u16 = luminance_u16_from_gray8(np.asarray(image.convert("L").crop((0, 0, 768, 512))))
    L_HW = l_u16.astype(np.float32) / np.float32(655.35)
    sky = L_HW > 65
    truth = np.where(sky, np.array([-8, -30])[:, None, None], np.array([15, 25])[:, None, None])
    L_hw = downscale_luminance(l_u16, 256)
    size = (L_hw.shape[1], L_hw.shape[0])
    reduced = [
        np.asarray(Image.fromarray(p).resize(size, Image.Resampling.BOX)) for p in truth.astype(np.float32)
    ]
    ab_2hw = np.stack(reduced)
    beside_an_edge = np.zeros_like(sky)
    beside_an_edge[:, :-1] |= sky[:, :-1] != sky[:, 1:]
    beside_an_edge[:, 1:] |= sky[:, :-1] != sky[:, 1:]

    def error(result: F32) -> float:
        return float(np.hypot(*(result - truth))[beside_an_edge].mean())

    assert error(guided_upsample(ab_2hw, L_hw, L_HW)) < 0.85 * error(bilinear(ab_2hw, L_HW.shape))


def test_a_step_stays_a_step() -> None:
    """Where bilinear would blend over four pixels, the colours change with the lightness."""
    L_HW = np.where(np.arange(64) < 32, 20, 80).astype(np.float32)[None].repeat(64, axis=0)
    L_hw, ab_2hw = L_HW[::4, ::4], np.stack([L_HW[::4, ::4] - 50, 50 - L_HW[::4, ::4]])
    result = guided_upsample(ab_2hw, L_hw, L_HW)
    np.testing.assert_allclose(result[0], L_HW - 50, atol=0.1)
    assert np.abs(bilinear(ab_2hw, L_HW.shape)[0] - (L_HW - 50)).max() > 20


@given(
    seed=st.integers(0, 2**32 - 1),
    small=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    large=st.tuples(st.integers(1, 40), st.integers(1, 40)),
)
@settings(deadline=None, max_examples=40)
def test_it_is_a_mean_of_what_was_there(seed: int, small: tuple[int, int], large: tuple[int, int]) -> None:
    """Finite, within the colours that came in, for any sizes; constant chroma stays constant."""
    rng = np.random.default_rng(seed)
    L_hw, L_HW = (rng.choice([0, 3, 50, 100], shape).astype(np.float32) for shape in (small, large))
    ab_2hw = rng.uniform(-100, 100, (2, *small)).astype(np.float32)
    result = guided_upsample(ab_2hw, L_hw, L_HW)
    assert (result.shape, result.dtype) == ((2, *large), np.float32)
    low, high = ab_2hw.min(axis=(1, 2)), ab_2hw.max(axis=(1, 2))
    assert (result >= low[:, None, None] - 1e-3).all()
    assert (result <= high[:, None, None] + 1e-3).all()
    constant = np.full_like(ab_2hw, -37.5)
    np.testing.assert_allclose(guided_upsample(constant, L_hw, L_HW), -37.5, atol=1e-4)


def test_what_it_refuses() -> None:
    L_hw, L_HW, ab_2hw = np.zeros((2, 3), np.float32), np.zeros((4, 6), np.float32), np.zeros((2, 2, 3))
    with pytest.raises(ValueError, match="chroma must be float32"):
        guided_upsample(ab_2hw, L_hw, L_HW)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="differ in size"):
        guided_upsample(np.zeros((2, 3, 3), np.float32), L_hw, L_HW)
    with pytest.raises(ValueError, match="L holds values that are not finite"):
        guided_upsample(ab_2hw.astype(np.float32), L_hw, L_HW * np.float32(np.nan))
