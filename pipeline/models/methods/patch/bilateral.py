"""Joint bilateral filter: smooths chroma within surfaces of similar lightness."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

RADIUS = 5  # pixels of the chroma's own size
SPREAD = 3.0  # pixels
LIGHTNESS_SPREAD = 5.0  # L*


def joint_bilateral(ab_B2hw: Tensor, L_B1hw: Tensor) -> Tensor:
    """Weighted mean of the chroma around each pixel (Petschnigg et al. 2004; the paper's section 3.3).

    Weights fall with the distance and with the difference in L*, each a Gaussian; beyond the picture there is
    nothing to average.
    """
    height, width = L_B1hw.shape[-2:]
    chroma = F.pad(ab_B2hw, (RADIUS,) * 4)
    lightness = F.pad(L_B1hw, (RADIUS,) * 4, value=float("inf"))
    total = torch.zeros_like(ab_B2hw)
    weights = torch.zeros_like(L_B1hw)
    for y in range(2 * RADIUS + 1):
        for x in range(2 * RADIUS + 1):
            apart = ((y - RADIUS) ** 2 + (x - RADIUS) ** 2) / SPREAD**2
            there = (..., slice(y, y + height), slice(x, x + width))
            weight = torch.exp(-0.5 * (apart + ((lightness[there] - L_B1hw) / LIGHTNESS_SPREAD) ** 2))
            total += weight * chroma[there]
            weights += weight
    return total / weights
