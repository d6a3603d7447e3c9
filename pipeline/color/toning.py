"""Decide whether a photograph is in colour, or black-and-white but toned, tinted, faded or scanned in colour.

In a toned scan the chroma follows the lightness: sepia, cyanotype, split toning and yellowed paper are
curves through Lab. What real colour has and they lack is chroma that spreads around that curve in more
than one hue: fading and stains spread too, but along one line, from neutral to brown.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.color.spaces import srgb_to_lab

F64 = NDArray[np.float64]

# Measured on 99 historical scans, all gray or toned: 2.1 at most; of 792 with strong stains, foxing, fading,
# silver mirroring, stamps, colour targets, mounts or JPEG noise laid over them, 12 lie above (10 stained).
# Of 3,949 colour photographs with a mean chroma above 8, 84 percent lie above; the others show one hue, or
# a small thing on neutral ground. To skip a gray photograph is the worse mistake: raise it, do not lower it.
REAL_COLOUR_SPREAD = 3.0

_SIDE = 192  # pixels: averages JPEG noise and grain away, keeps a face of a group portrait
_MARGIN = 0.1  # of each side, left out: mounts, album pages, colour targets, tape
_OUTLIERS = 0.03  # of the pixels, left out: stamps, ink, labels
_LIGHTNESS_BINS = 32
_LINE = 3.0  # stains reach 8.4 along their line, so 2.8


def residuals(lightness: F64, ab_n2: F64, kept: NDArray[np.bool_]) -> F64:
    """ab less the mean ab of `kept` at the same lightness: means of bins, straight lines between them."""
    bins = np.minimum((lightness[kept] * (_LIGHTNESS_BINS / 100)).astype(np.intp), _LIGHTNESS_BINS - 1)
    counts = np.bincount(bins, minlength=_LIGHTNESS_BINS)
    used = counts > 0

    def mean(values: F64) -> F64:
        sums = np.bincount(bins, values[kept], _LIGHTNESS_BINS)
        return np.asarray(sums[used] / counts[used], dtype=np.float64)

    centres = mean(lightness)
    curve = [np.interp(lightness, centres, mean(ab_n2[:, channel])) for channel in range(2)]
    return ab_n2 - np.stack(curve, axis=-1)


def colour_spread(rgb8: NDArray[np.uint8]) -> float:
    """How far chroma deviates from a function of lightness, in Lab units; compare `REAL_COLOUR_SPREAD`.

    rgb8: uint8[H,W,3] sRGB, transparent parts flattened. It is averaged down to 192 px first; give it no less
    than that, or the whole of a smaller image. Raises ValueError for another array.

    Of the residual's standard deviations along its two principal axes, the result is the geometric mean, or a
    third of the longer where that is more: a picture in two strong hues is a line too, longer than stains.
    """
    if rgb8.dtype != np.uint8 or rgb8.ndim != 3 or rgb8.shape[2] != 3 or rgb8.size == 0:
        raise ValueError(f"expected uint8[H,W,3]; got {rgb8.dtype} {rgb8.shape}")
    lab = srgb_to_lab(averaged_down(rgb8).astype(np.float64) / 255)
    top, left = int(lab.shape[0] * _MARGIN), int(lab.shape[1] * _MARGIN)
    pixels = lab[top : lab.shape[0] - top, left : lab.shape[1] - left].reshape(-1, 3).astype(np.float64)
    lightness, ab_n2 = np.clip(pixels[:, 0], 0, 100), pixels[:, 1:]
    distances = np.hypot(*residuals(lightness, ab_n2, np.ones(len(pixels), dtype=np.bool_)).T)
    kept = distances <= np.quantile(distances, 1 - _OUTLIERS)
    strayed = residuals(lightness, ab_n2, kept)[kept]
    covariance = strayed.T @ strayed / len(strayed)
    shorter, longer = np.sqrt(np.maximum(np.linalg.eigvalsh(covariance), 0))
    return float(max(np.sqrt(shorter * longer), longer / _LINE))


def averaged_down(rgb8: NDArray[np.uint8], side: int = _SIDE) -> NDArray[np.uint8]:
    """The picture with a longer side of `side` pixels; a smaller one as it is."""
    scale = side / max(rgb8.shape[:2])
    if scale >= 1:
        return rgb8
    size = max(1, round(rgb8.shape[1] * scale)), max(1, round(rgb8.shape[0] * scale))
    return np.asarray(Image.fromarray(rgb8).resize(size, Image.Resampling.BOX))
