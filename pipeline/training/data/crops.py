"""Crops as the network sees them: Lab from 8-bit pixels in one compiled pass, and looks of old film."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from pipeline.color.compiled import compiled
from pipeline.color.spaces import LAB_DELTA, LAB_OFFSET, LAB_SLOPE, RGB_TO_XYZ_WHITE_1, linear_of_levels
from pipeline.training.data.old_light import in_old_light
from pipeline.training.sections import AugmentConfig

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

_STEPS = 16384
"""Entries of the table for Lab's f: with straight lines between them it is right to 0.01 Lab units."""


def _f(t: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(t > LAB_DELTA**3, np.cbrt(t), t / LAB_SLOPE + LAB_OFFSET)


LUMINANCE: F32 = RGB_TO_XYZ_WHITE_1[1].astype(np.float32)
_LINEAR: F32 = linear_of_levels(8).astype(np.float32)
_F_TABLE: F32 = _f(np.minimum(np.arange(_STEPS + 2) / _STEPS, 1.0)).astype(np.float32)
_MATRIX: F32 = RGB_TO_XYZ_WHITE_1.astype(np.float32)


@compiled
def _lab_kernel(rgb8: U8, film: F32, matrix: F32, linear: F32, table: F32, L_hw: F32, ab_2hw: F32) -> None:
    steps = np.float32(table.size - 2)
    f = np.empty(4, dtype=np.float32)
    for row in range(rgb8.shape[0]):
        for column in range(rgb8.shape[1]):
            red = linear[rgb8[row, column, 0]]
            green = linear[rgb8[row, column, 1]]
            blue = linear[rgb8[row, column, 2]]
            for i in range(4):
                if i < 3:
                    t = matrix[i, 0] * red + matrix[i, 1] * green + matrix[i, 2] * blue
                else:
                    t = film[0] * red + film[1] * green + film[2] * blue
                position = min(t, np.float32(1.0)) * steps
                left = int(position)
                f[i] = table[left] + (position - left) * (table[left + 1] - table[left])
            L_hw[row, column] = np.float32(116.0) * f[3] - np.float32(16.0)
            ab_2hw[0, row, column] = np.float32(500.0) * (f[0] - f[1])
            ab_2hw[1, row, column] = np.float32(200.0) * (f[1] - f[2])


def lab_crop(rgb8: U8, film: F32 = LUMINANCE) -> tuple[F32, F32]:
    """sRGB pixels uint8[H,W,3] to `L_HW` in [0, 100] and `ab_2HW` in Lab units (CIE 15:2018, D65).

    `film` are the weights of linear red, green and blue in the input luminance, with a sum of 1: LUMINANCE is
    human vision's, others are films that saw the world in other proportions. They do not change ab.
    """
    L_HW = np.empty(rgb8.shape[:2], dtype=np.float32)
    ab_2HW = np.empty((2, *rgb8.shape[:2]), dtype=np.float32)
    _lab_kernel(rgb8, film, _MATRIX, _LINEAR, _F_TABLE, L_HW, ab_2HW)
    return L_HW, ab_2HW


def random_film(rng: np.random.Generator, config: AugmentConfig) -> F32:
    """LUMINANCE, or with probability `spectral` something between it and a random film.

    Plates before about 1906 saw blue only, orthochromatic film until the 1930s no red.
    """
    if rng.random() >= config.spectral:
        return LUMINANCE
    other = rng.dirichlet((0.5, 1.0, 1.0))
    return (LUMINANCE + rng.random() * (other - LUMINANCE)).astype(np.float32)


def age(L_HW: F32, rng: np.random.Generator, config: AugmentConfig) -> F32:
    """The input luminance with random gamma, contrast, shift, blur and grain, in [0, 100]."""
    gamma = np.float32(config.gamma ** rng.uniform(-1, 1))
    aged = 100.0 * (L_HW / 100.0).clip(0.0, 1.0) ** gamma
    factor, shift = 1 + config.contrast * rng.uniform(-1, 1), config.brightness * rng.uniform(-1, 1)
    aged = (aged - 50.0) * np.float32(factor) + np.float32(50.0 + shift)
    if rng.random() < config.probability:
        aged = gaussian_filter(aged, config.blur * rng.random(), truncate=2.0)
    if rng.random() < config.probability:
        aged = aged + np.float32(config.grain * rng.random()) * rng.standard_normal(aged.shape, np.float32)
    return aged.clip(0.0, 100.0).astype(np.float32)


def seen(rgb8: U8, rng: np.random.Generator, config: AugmentConfig) -> tuple[F32, F32]:
    """What the network sees of sRGB pixels uint8[H,W,3], and what it is to guess: `L_HW` in [0, 100], aged or
    in old light, and the photograph's own `ab_2HW`."""
    if config.old_light and rng.random() < config.old_light:
        return in_old_light(rgb8, rng, config.damage), lab_crop(rgb8)[1]
    L_HW, ab_2HW = lab_crop(rgb8, random_film(rng, config))
    return age(L_HW, rng, config), ab_2HW
