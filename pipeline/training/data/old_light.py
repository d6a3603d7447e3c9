"""Old light: what a plate or film of 1850 to 1950, and its print, would have made of a colour photograph.

The steps follow the historical order: light through the lens onto the emulsion (linear light), development
and print (characteristic curve), a century of ageing (lightness). Chroma is never changed: the network should
learn the photograph's own.

An sRGB photograph knows three numbers of a spectrum, so a film can only be a mixture of its linear red, green
and blue, which stand for light above about 590 nm, from 500 to 590 nm, and below. Ultraviolet, to which every
emulsion answered, and so haze and freckles, are not in it. The mixtures are ranges, not measured curves;
where sensitivity ends is from the literature:

- ordinary, to about 1906 and long after: blue and violet alone, nothing above 500 nm;
- orthochromatic (H. W. Vogel 1873): green and yellow too, nothing above 590 nm; behind a yellow filter green
  alone (M. Langford, "Basic Photography", 7th edition, chapter 9, for the limit of 590 nm);
- panchromatic, from 1906: type A of low red and high blue, B even, C of high red (T. T. Baker, "Photographic
  Emulsion Technique", 1941).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, uniform_filter

from pipeline.color.compiled import compiled
from pipeline.color.spaces import lab_f, linear_of_levels

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
Random = np.random.Generator

FILMS: Mapping[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "ordinary": ((0.0, 0.0), (0.0, 0.15), (0.85, 1.0)),
    "orthochromatic": ((0.0, 0.03), (0.3, 1.0), (0.05, 0.7)),
    "panchromatic A": ((0.08, 0.2), (0.25, 0.4), (0.45, 0.6)),
    "panchromatic B": ((0.25, 0.4), (0.3, 0.5), (0.2, 0.4)),
    "panchromatic C": ((0.45, 0.65), (0.25, 0.4), (0.05, 0.2)),
}
"""Ranges of the weights of linear red, green and blue, before they are brought to a sum of 1."""

SHARES = (0.35, 0.35, 0.08, 0.16, 0.06)
"""How often each of FILMS is taken: archives are mostly older than 1930."""

_LINEAR: F32 = linear_of_levels(8).astype(np.float32)


@compiled
def _exposed(rgb8: U8, film: F32, linear: F32, exposure_hw: F32) -> None:
    for row in range(rgb8.shape[0]):
        for column in range(rgb8.shape[1]):
            exposure_hw[row, column] = (
                film[0] * linear[rgb8[row, column, 0]]
                + film[1] * linear[rgb8[row, column, 1]]
                + film[2] * linear[rgb8[row, column, 2]]
            )


def old_film(rng: Random) -> F32:
    """Weights of linear red, green and blue, sum 1, of one of FILMS at random."""
    ranges = list(FILMS.values())[int(rng.choice(len(FILMS), p=SHARES))]
    weights = np.array([rng.uniform(low, high) for low, high in ranges], dtype=np.float32)
    film: F32 = weights / weights.sum()
    return film


def in_old_light(rgb8: U8, rng: Random, damage: float) -> F32:
    """`L_HW`, float32 in [0, 100], of sRGB pixels uint8[H,W,3] as an old print of them; `damage` in [0, 1] is
    the probability of scratches, spots, stains or a print screen."""
    exposure = np.empty(rgb8.shape[:2], dtype=np.float32)
    _exposed(rgb8, old_film(rng), _LINEAR, exposure)
    L_HW = lightness(printed(through_lens(exposure, rng), rng))
    if rng.random() < 0.7:
        L_HW += grain(L_HW, rng)
    if rng.random() < 0.3:
        L_HW = gaussian_filter(L_HW, rng.uniform(0.2, 1.0), truncate=2.0)
    if rng.random() < damage:
        L_HW = damaged(L_HW, rng)
    return np.clip(L_HW, 0.0, 100.0, out=L_HW)


def through_lens(exposure_HW: F32, rng: Random) -> F32:
    """Linear exposure in [0, 1] with fall-off to the edges, halation around lights, and veiling flare, each
    at times.

    Fall-off is the cosine's fourth power of the angle to an axis that need not lie in the crop; halation is
    light that comes back from the plate's glass some pixels away.
    """
    if rng.random() < 0.3:
        height, width = exposure_HW.shape
        y = (np.arange(height, dtype=np.float32) / height - np.float32(rng.uniform(-0.3, 1.3)))[:, None]
        x = (np.arange(width, dtype=np.float32) / width - np.float32(rng.uniform(-0.3, 1.3)))[None, :]
        exposure_HW = exposure_HW / (1 + np.float32(rng.uniform(0.1, 0.8)) * (x * x + y * y)) ** 2
    if rng.random() < 0.25:
        size = int(rng.integers(3, 12))
        lights = np.maximum(exposure_HW - 0.6, 0.0)
        around = uniform_filter(uniform_filter(lights, size), size)
        exposure_HW = exposure_HW + np.float32(rng.uniform(0.1, 0.6)) * around
    if rng.random() < 0.3:
        exposure_HW = exposure_HW + np.float32(rng.uniform(0.0, 0.06)) * exposure_HW.mean()
    return exposure_HW


def printed(exposure_HW: F32, rng: Random) -> F32:
    """Reflectance in [0, 1] of the print of an exposure.

    Negative and paper together answer with an S over the logarithm of the exposure (F. Hurter and V. C.
    Driffield, "Photo-chemical investigations", 1890): here the logistic one, E^g / (E^g + h^g), of slope g
    and middle h, scaled so that the brightest exposure is white. Then what fading left: black above 0, white
    below 1.
    """
    slope = np.float32(np.exp(rng.uniform(np.log(0.75), np.log(1.7))))
    middle = np.float32(np.exp(rng.uniform(np.log(0.25), np.log(3.0))))
    brightest = np.float32(max(float(np.percentile(exposure_HW[::4, ::4], 99.5)), 0.05))
    relative = exposure_HW / (brightest * np.float32(rng.uniform(0.75, 1.3)))
    powered = np.maximum(relative, 0.0) ** slope
    half = middle**slope
    curve = (1 + half) * powered / (powered + half)
    black, white = np.float32(rng.uniform(0.0, 0.05) * rng.random()), np.float32(rng.uniform(0.55, 1.0))
    reflectance: F32 = black + (white - black) * np.minimum(curve, 1.0)
    return reflectance


def lightness(reflectance_HW: F32) -> F32:
    """L* in [0, 100] of a reflectance in [0, 1] (CIE 15:2018)."""
    L_HW: F32 = (116 * lab_f(reflectance_HW) - 16).astype(np.float32)
    return L_HW


def grain(L_HW: F32, rng: Random) -> F32:
    """Noise in L* units, strongest in the middle tones; the grain of an enlargement is wider than a pixel."""
    noise = rng.standard_normal(L_HW.shape, np.float32)
    if rng.random() < 0.5:
        noise = 2.0 * uniform_filter(noise, 2)  # a mean of four has half the deviation
    strength = np.float32(rng.uniform(0.5, 5.0))
    amplitude = np.sqrt(np.clip(L_HW / 25 * (1 - L_HW / 100), 0.05, 1.0))
    grains: F32 = strength * amplitude * noise
    return grains


def damaged(L_HW: F32, rng: Random) -> F32:
    """The same print with one or several of: scratches, spots of dust and mould, stains, a halftone
    screen."""
    L_HW = L_HW.copy()
    kinds = rng.random(4) < (0.5, 0.5, 0.4, 0.2)
    if kinds[0]:
        _scratch(L_HW, rng)
    if kinds[1]:
        _spot(L_HW, rng)
    if kinds[2]:
        L_HW += _stain(L_HW.shape, rng)
    if kinds[3]:
        L_HW += _screen(L_HW.shape, rng)
    return L_HW


def _grid(shape: tuple[int, ...]) -> tuple[F32, F32]:
    y, x = np.ogrid[: shape[0], : shape[1]]
    return y.astype(np.float32), x.astype(np.float32)


def _scratch(L_HW: F32, rng: Random) -> None:
    """One to three straight lines of one or two pixels' width."""
    y, x = _grid(L_HW.shape)
    for _ in range(int(rng.integers(1, 5))):
        angle = rng.uniform(0, np.pi)
        top, left = rng.uniform(0, L_HW.shape[0]), rng.uniform(0, L_HW.shape[1])
        distance = np.abs(np.float32(np.sin(angle)) * (x - left) - np.float32(np.cos(angle)) * (y - top))
        L_HW[distance < rng.uniform(0.4, 1.0)] = rng.choice([rng.uniform(0, 25), rng.uniform(75, 100)])


def _spot(L_HW: F32, rng: Random) -> None:
    """Two to twelve discs of up to four pixels' radius."""
    for _ in range(int(rng.integers(2, 13))):
        radius = int(rng.integers(1, 5))
        top, left = (int(rng.integers(0, side)) for side in L_HW.shape)
        patch = L_HW[top : top + 2 * radius, left : left + 2 * radius]
        y, x = _grid(patch.shape)
        inside = (y - radius + 0.5) ** 2 + (x - radius + 0.5) ** 2 <= radius**2
        patch[inside] = rng.choice([rng.uniform(0, 30), rng.uniform(75, 100)])


def _stain(shape: tuple[int, ...], rng: Random) -> F32:
    """A slow unevenness of up to 12 L* units, one wave along each side."""
    y, x = (axis / side for axis, side in zip(_grid(shape), shape, strict=True))
    phases, waves = rng.uniform(0, 2 * np.pi, 2), rng.uniform(0.5, 3.0, 2)
    uneven: F32 = np.float32(rng.uniform(2, 12)) * (
        np.sin(np.float32(waves[0]) * 3 * y + np.float32(phases[0]))
        * np.sin(np.float32(waves[1]) * 3 * x + np.float32(phases[1]))
    )
    return uneven


def _screen(shape: tuple[int, ...], rng: Random) -> F32:
    """The dots of a printed page, 2.5 to 4 pixels apart, turned."""
    y, x = _grid(shape)
    turn, pitch = rng.uniform(0, np.pi / 2), rng.uniform(2.5, 4.0)
    cos, sin = (np.float32(2 * np.pi / pitch * f(turn)) for f in (np.cos, np.sin))
    dots: F32 = np.float32(rng.uniform(3, 14)) * np.cos(cos * x + sin * y) * np.cos(cos * y - sin * x)
    return dots
