"""Colour functions in float64 that only tests need: the reference for compiled and torch code."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.color import spaces
from pipeline.color.metrics import to_lab

F64 = NDArray[np.float64]


def neutral_fade(L: F64) -> F64:
    """Weight in [0, 1] for the chroma at lightness L (any shape): 0 at L* 0 and 100, 1 between."""
    dark, light = L / spaces.NEUTRAL_FADE_DARK_L, (100 - L) / (100 - spaces.NEUTRAL_FADE_LIGHT_L)
    t = np.clip(np.minimum(dark, light), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def mean_chroma(rgb8: NDArray[np.uint8]) -> float:
    """Mean of C*ab = sqrt(a*^2 + b*^2) over the pixels, Lab units (CIE 15:2018, section 8.2.1)."""
    lab = to_lab(rgb8)
    return float(np.mean(np.hypot(lab[..., 1], lab[..., 2])))
