"""A differentiable measure of how different two chromas look. Training with it yields the likeliest colour,
not the mean."""

from __future__ import annotations

import torch
from torch import Tensor

_FLOOR = 1e-3
"""Lab units squared: keeps the gradients of the square roots finite where chromas are equal or zero."""


def chroma_difference(ab_B2hw: Tensor, true_ab_B2hw: Tensor) -> Tensor:
    """CIEDE2000 (Sharma, Wu and Dalal 2005) of two colours of the same lightness, per pixel, B x h x w.

    Both in Lab units, float32. The hue's weight T is 1 and the rotation term R_T of the blues 0: they hardly
    change which guess is nearest. As it grows by less than the square of the distance, what is ambiguous
    draws a guess to the likelier of the colours and not to the brown between them. Lightness is no argument:
    it is the source's.
    """
    mean_C = (_chroma(ab_B2hw) + _chroma(true_ab_B2hw)) / 2
    power = mean_C**7
    stretch = 1.5 - 0.5 * torch.sqrt(power / (power + 25.0**7) + 1e-9)
    scale_B2hw = torch.stack([stretch, torch.ones_like(stretch)], 1)
    ab, true_ab = ab_B2hw * scale_B2hw, true_ab_B2hw * scale_B2hw
    C, true_C = _chroma(ab), _chroma(true_ab)
    mean_C = (C + true_C) / 2
    by_chroma = (C - true_C).square()
    by_hue = ((ab - true_ab).square().sum(1) - by_chroma).clamp(min=0)
    square = by_chroma / (1 + 0.045 * mean_C).square() + by_hue / (1 + 0.015 * mean_C).square()
    difference: Tensor = torch.sqrt(square + _FLOOR)
    return difference


def _chroma(ab_B2hw: Tensor) -> Tensor:
    return torch.sqrt(ab_B2hw.square().sum(1) + _FLOOR)
