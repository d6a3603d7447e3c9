"""Metrics against published values, closed forms and scikit-image."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio

from pipeline.color import metrics, spaces
from tests.support.color_reference import mean_chroma

Rgb8 = NDArray[np.uint8]


def noise(seed: int) -> Rgb8:
    return np.random.default_rng(seed).integers(0, 256, (24, 31, 3), dtype=np.uint8)


def flat(*rgb: int) -> Rgb8:
    return np.full((4, 6, 3), rgb, dtype=np.uint8)


def noise_lab(seed: int) -> metrics.Lab:
    return metrics.to_lab(noise(seed))


def flat_lab(*rgb: int) -> metrics.Lab:
    return metrics.to_lab(flat(*rgb))


def test_psnr() -> None:
    assert metrics.psnr(noise(1), noise(2)) == pytest.approx(peak_signal_noise_ratio(noise(1), noise(2)))
    assert metrics.psnr(flat(10, 10, 10), flat(11, 11, 11)) == pytest.approx(48.1308, abs=1e-4)
    assert metrics.psnr(noise(1), noise(1)) == np.inf


def test_mean_chroma() -> None:
    assert metrics.mean_chroma(noise_lab(1)) == pytest.approx(mean_chroma(noise(1)))
    assert metrics.mean_chroma(flat_lab(90, 90, 90)) == pytest.approx(0, abs=1e-3)


def lab_of(*ab: tuple[float, float]) -> metrics.Lab:
    return np.array([[(50.0, a, b) for a, b in ab]])


def test_what_got_its_colour() -> None:
    """Of five pixels one is gray and does not count; of the others one is right."""
    truth = lab_of((40, 0), (40, 0), (40, 0), (0, -30), (3, 3))
    guess = lab_of((13, 7), (11, 0), (40, 25), (0, 30), (3, 3))  # 28 degrees off; no colour; 32 off; opposite
    assert metrics.right_share(truth, guess) == 0.25
    assert metrics.right_share(truth, truth) == 1
    assert metrics.right_share(truth, truth * (1.0, 0.5, 0.5)) == 1  # duller, and visible
    assert np.isnan(metrics.right_share(lab_of((3, 3)), lab_of((40, 0))))


def test_equal_images_have_no_difference() -> None:
    assert metrics.ab_rmse(noise_lab(1), noise_lab(1)) == 0
    assert metrics.ciede2000(noise_lab(1), noise_lab(1)) == 0


def test_ab_rmse_is_per_channel_and_blind_to_lightness() -> None:
    assert metrics.ab_rmse(flat_lab(20, 20, 20), flat_lab(200, 200, 200)) == pytest.approx(0, abs=1e-9)
    red = spaces.srgb_to_lab(np.array([1.0, 0, 0]))
    assert metrics.ab_rmse(flat_lab(255, 0, 0), flat_lab(90, 90, 90)) == pytest.approx(
        np.hypot(red[1], red[2]) / np.sqrt(2)
    )


def test_ciede2000_of_known_pairs() -> None:
    # L* differs by 100: SL is 1 + 0.015 * 0 / sqrt(20) at the mean L* of 50, so dE = 100
    assert metrics.ciede2000(flat_lab(0, 0, 0), flat_lab(255, 255, 255)) == pytest.approx(100, abs=1e-3)
    # red and green of sRGB
    assert metrics.ciede2000(flat_lab(255, 0, 0), flat_lab(0, 255, 0)) == pytest.approx(86.61, abs=0.05)


def test_colorfulness_and_chroma() -> None:
    assert metrics.colorfulness(flat(90, 90, 90)) == 0
    assert mean_chroma(flat(90, 90, 90)) == pytest.approx(0, abs=1e-9)
    # one colour: no spread; rg = 255, yb = 127.5, so 0.3 * hypot
    assert metrics.colorfulness(flat(255, 0, 0)) == pytest.approx(0.3 * np.hypot(255, 127.5))
    half = flat(255, 0, 0)
    half[:, ::2] = (0, 0, 255)
    rg, yb = np.array([255.0, 0]), np.array([127.5, -255])
    expected = np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean())
    assert metrics.colorfulness(half) == pytest.approx(expected)
    red, blue = spaces.srgb_to_lab(np.array([[1.0, 0, 0], [0, 0, 1]]))
    assert mean_chroma(half) == pytest.approx((np.hypot(*red[1:]) + np.hypot(*blue[1:])) / 2)


def test_ssim() -> None:
    assert metrics.ssim(noise(1), noise(1)) == pytest.approx(1)
    # Two flat images have no variance: only the luminance term is left, (2ab + C1) / (a^2 + b^2 + C1).
    c1 = (0.01 * 255) ** 2
    a, b = np.full((16, 20, 3), 100, np.uint8), np.full((16, 20, 3), 140, np.uint8)
    assert metrics.ssim(a, b) == pytest.approx((2 * 100 * 140 + c1) / (100**2 + 140**2 + c1), abs=1e-6)
    # Against the paper's formula with its window, at the middle of one channel: 11x11, sigma 1.5.
    x, y = (noise(seed)[:11, :11, 0].astype(float) for seed in (1, 2))
    window = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window = np.outer(window, window) / np.outer(window, window).sum()
    mean_x, mean_y = (window * x).sum(), (window * y).sum()
    var_x, var_y = (window * x**2).sum() - mean_x**2, (window * y**2).sum() - mean_y**2
    covariance, c2 = (window * x * y).sum() - mean_x * mean_y, (0.03 * 255) ** 2
    expected = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    expected /= (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    thrice = [np.repeat(noise(seed)[:11, :11, :1], 3, 2) for seed in (1, 2)]
    assert metrics.ssim(*thrice) == pytest.approx(expected, abs=1e-6)
    with pytest.raises(ValueError, match="win_size"):
        metrics.ssim(flat(1, 2, 3), flat(1, 2, 3))


def test_auc_of_ab_error() -> None:
    assert metrics.ab_auc(noise_lab(1), noise_lab(1)) == 1
    lab = np.zeros((2, 2, 3))
    other = lab.copy()
    other[..., 1] = 149.5  # every pixel is only within t = 150: one trapezium of half a unit
    assert metrics.ab_auc(lab, other) == pytest.approx(0.5 / 150)
    other[..., 1] = 200
    assert metrics.ab_auc(lab, other) == 0
    other[..., 1:] = (30, 40)  # 50 apart: from t = 50 on all
    assert metrics.ab_auc(lab, other) == pytest.approx((0.5 + 100) / 150)
    other[0] = 0  # half of the pixels are right
    assert metrics.ab_auc(lab, other) == pytest.approx((150 + 100.5) / 2 / 150)


def test_auc_is_the_definition_counted_threshold_by_threshold() -> None:
    lab_a, lab_b = noise_lab(1), noise_lab(2)
    distance = np.linalg.norm((lab_a - lab_b)[..., 1:], axis=-1)
    shares = [(distance <= t).mean() for t in range(151)]
    area = sum((left + right) / 2 for left, right in pairwise(shares)) / 150
    assert metrics.ab_auc(lab_a, lab_b) == pytest.approx(area)


def test_absolute_colorfulness_is_the_smaller_where_hues_are_opposite() -> None:
    half = flat(255, 0, 0)
    half[:, ::2] = (0, 255, 0)  # |rg| is 255 and yb 127.5 everywhere: no spread, all mean
    assert metrics.colorfulness_absolute(half) == pytest.approx(0.3 * np.hypot(255, 127.5))
    assert metrics.colorfulness(half) == pytest.approx(255 + 0.3 * 127.5)
    assert metrics.colorfulness_absolute(flat(90, 90, 90)) == 0


@pytest.mark.parametrize("metric", [metrics.psnr, metrics.ssim])
def test_pairs_of_different_size_or_type_are_refused(metric) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="differ in size"):
        metric(flat(1, 2, 3), noise(1))
    with pytest.raises(ValueError, match="uint8"):
        metric(noise(1) / 255, noise(1) / 255)


@pytest.mark.parametrize("metric", [metrics.ab_rmse, metrics.ciede2000, metrics.ab_auc])
def test_pairs_in_lab_of_different_size_or_type_are_refused(metric) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="differ in size"):
        metric(flat_lab(1, 2, 3), noise_lab(1))
    with pytest.raises(ValueError, match="float64"):
        metric(noise(1), noise(1))
