"""Metrics against published values, closed forms and scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio

from pipeline import color, metrics

Rgb8 = NDArray[np.uint8]


def noise(seed: int) -> Rgb8:
    return np.random.default_rng(seed).integers(0, 256, (24, 31, 3), dtype=np.uint8)


def flat(*rgb: int) -> Rgb8:
    return np.full((4, 6, 3), rgb, dtype=np.uint8)


def test_psnr() -> None:
    assert metrics.psnr(noise(1), noise(2)) == pytest.approx(peak_signal_noise_ratio(noise(1), noise(2)))
    assert metrics.psnr(flat(10, 10, 10), flat(11, 11, 11)) == pytest.approx(48.1308, abs=1e-4)
    assert metrics.psnr(noise(1), noise(1)) == np.inf


def test_equal_images_have_no_difference() -> None:
    assert metrics.ab_rmse(noise(1), noise(1)) == 0
    assert metrics.ciede2000(noise(1), noise(1)) == 0


def test_ab_rmse_is_per_channel_and_blind_to_lightness() -> None:
    assert metrics.ab_rmse(flat(20, 20, 20), flat(200, 200, 200)) == pytest.approx(0, abs=1e-9)
    red = color.srgb_to_lab(np.array([1.0, 0, 0]))
    assert metrics.ab_rmse(flat(255, 0, 0), flat(90, 90, 90)) == pytest.approx(
        np.hypot(red[1], red[2]) / np.sqrt(2)
    )


def test_ciede2000_of_known_pairs() -> None:
    # L* differs by 100: SL is 1 + 0.015 * 0 / sqrt(20) at the mean L* of 50, so dE = 100
    assert metrics.ciede2000(flat(0, 0, 0), flat(255, 255, 255)) == pytest.approx(100, abs=1e-3)
    # red and green of sRGB
    assert metrics.ciede2000(flat(255, 0, 0), flat(0, 255, 0)) == pytest.approx(86.61, abs=0.05)


def test_colorfulness_and_chroma() -> None:
    assert metrics.colorfulness(flat(90, 90, 90)) == 0
    assert metrics.mean_chroma(flat(90, 90, 90)) == pytest.approx(0, abs=1e-9)
    # one colour: no spread; rg = 255, yb = 127.5, so 0.3 * hypot
    assert metrics.colorfulness(flat(255, 0, 0)) == pytest.approx(0.3 * np.hypot(255, 127.5))
    half = flat(255, 0, 0)
    half[:, ::2] = (0, 0, 255)
    rg, yb = np.array([255.0, 0]), np.array([127.5, -255])
    expected = np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean())
    assert metrics.colorfulness(half) == pytest.approx(expected)
    red, blue = color.srgb_to_lab(np.array([[1.0, 0, 0], [0, 0, 1]]))
    assert metrics.mean_chroma(half) == pytest.approx((np.hypot(*red[1:]) + np.hypot(*blue[1:])) / 2)


@pytest.mark.parametrize("metric", [metrics.psnr, metrics.ab_rmse, metrics.ciede2000])
def test_pairs_of_different_size_are_refused(metric) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="differ in size"):
        metric(flat(1, 2, 3), noise(1))
    with pytest.raises(ValueError, match="uint8"):
        metric(noise(1) / 255, noise(1) / 255)
