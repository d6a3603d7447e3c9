"""Errors of regressed chroma that a U-Net may minimise."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.color.difference_torch import chroma_difference
from pipeline.color.spaces_torch import lab_to_srgb_t

AB_SCALE = 110.0
"""Lab units of chroma that are 1 for the network."""
LOG_WEIGHT = 0.03
"""Brings the gradient of the logarithm to the size of the other losses', so that the same settings serve."""
LOG_FLOOR = 1e-4
"""40 dB: better than that needs no effort."""


def regression_loss(kind: str, L_B1HW: Tensor, unit_B2hw: Tensor, true_unit_B2hw: Tensor) -> Tensor:
    """The error of chroma over AB_SCALE at half the size of L* (in [0, 100]), by `Objective.regression`.

    "l2" is its mean square. "smooth_l1" is quadratic below 0.1 of 110 Lab units and linear above: outliers
    pull less towards gray. "psnr" is that of each image in RGB, negative: what cannot be guessed in one image
    does not outweigh what can in another (L. Chen et al., "HINet", CVPR Workshops 2021, section 3.3).
    "delta_e" is what people see of the error, as `color.difference_torch` has it, likewise as a logarithm: it
    asks for the likeliest colour.
    """
    if kind == "smooth_l1":
        return F.smooth_l1_loss(unit_B2hw, true_unit_B2hw, beta=0.1)
    if kind == "delta_e":
        return _mean_difference(unit_B2hw * AB_SCALE, true_unit_B2hw * AB_SCALE)
    if kind == "psnr":
        return _log_error(F.avg_pool2d(L_B1HW, 2), unit_B2hw * AB_SCALE, true_unit_B2hw * AB_SCALE)
    return F.mse_loss(unit_B2hw, true_unit_B2hw)


def _log_error(L_B1hw: Tensor, ab_B2hw: Tensor, true_ab_B2hw: Tensor) -> Tensor:
    """Mean over images of the logarithm of the squared error in sRGB, times LOG_WEIGHT."""
    with torch.autocast(L_B1hw.device.type, enabled=False):  # bfloat16 would round colours to whole levels
        guess, truth = (
            lab_to_srgb_t(torch.cat([L_B1hw, ab], 1), clip=False) for ab in (ab_B2hw, true_ab_B2hw)
        )
        return LOG_WEIGHT * torch.log((guess - truth).square().mean((1, 2, 3)) + LOG_FLOOR).mean()


def _mean_difference(ab_B2hw: Tensor, true_ab_B2hw: Tensor) -> Tensor:
    """Mean over images of the logarithm of the mean difference in colour, times LOG_WEIGHT."""
    with torch.autocast(ab_B2hw.device.type, enabled=False):
        difference_Bhw = chroma_difference(ab_B2hw, true_ab_B2hw)
        return 2 * LOG_WEIGHT * torch.log(difference_Bhw.mean((1, 2)) + 1).mean()
