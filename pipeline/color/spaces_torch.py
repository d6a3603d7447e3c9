"""The torch versions of `pipeline.color.spaces`, channels first, for training and networks.

Same constants and ranges: sRGB in [0, 1], CIELAB D65 with L in [0, 100]. Differentiable
everywhere: where a curve has two pieces, the piece not taken sees a safe argument,
because `where` alone would let its infinite gradient through as NaN.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.color.spaces import (
    LAB_DELTA,
    LAB_OFFSET,
    LAB_SLOPE,
    LINEAR_KNEE,
    RGB_TO_XYZ_WHITE_1,
    RGB_TO_YUV,
    SRGB_GAMMA,
    SRGB_KNEE,
    SRGB_OFFSET,
    SRGB_SCALE,
    SRGB_SLOPE,
    XYZ_WHITE_1_TO_RGB,
    YUV_TO_RGB,
)


def _apply(matrix: NDArray[np.float64], values_B3HW: Tensor) -> Tensor:
    if values_B3HW.ndim != 4 or values_B3HW.shape[1] != 3 or not values_B3HW.is_floating_point():
        raise ValueError(f"expected floating B,3,H,W; got {values_B3HW.dtype} {tuple(values_B3HW.shape)}")
    weights = torch.as_tensor(matrix, dtype=values_B3HW.dtype, device=values_B3HW.device)
    return torch.einsum("ij,bjhw->bihw", weights, values_B3HW)


def srgb_to_linear_t(srgb: Tensor) -> Tensor:
    """Undo the sRGB curve (IEC 61966-2-1). Any shape; negative values stay on the linear piece."""
    power = ((srgb.clamp(min=SRGB_KNEE) + SRGB_OFFSET) / SRGB_SCALE) ** SRGB_GAMMA
    return torch.where(srgb <= SRGB_KNEE, srgb / SRGB_SLOPE, power)


def linear_to_srgb_t(linear: Tensor) -> Tensor:
    """Apply the sRGB curve (IEC 61966-2-1). Any shape; negative values stay on the linear piece."""
    power = SRGB_SCALE * linear.clamp(min=LINEAR_KNEE) ** (1 / SRGB_GAMMA) - SRGB_OFFSET
    return torch.where(linear <= LINEAR_KNEE, linear * SRGB_SLOPE, power)


def _lab_f_t(t: Tensor) -> Tensor:
    knee = LAB_DELTA**3
    return torch.where(t > knee, t.clamp(min=knee) ** (1 / 3), t / LAB_SLOPE + LAB_OFFSET)


def _lab_f_inverse_t(f: Tensor) -> Tensor:
    return torch.where(f > LAB_DELTA, f**3, LAB_SLOPE * (f - LAB_OFFSET))


def srgb_to_lab_t(rgb_B3HW: Tensor) -> Tensor:
    """sRGB in [0, 1] to CIELAB D65 `lab_B3HW` (CIE 15:2018). Raises ValueError for another shape."""
    xyz = _apply(RGB_TO_XYZ_WHITE_1, srgb_to_linear_t(rgb_B3HW))
    x, y, z = _lab_f_t(xyz).unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


def lab_to_srgb_t(lab_B3HW: Tensor, *, clip: bool = True) -> Tensor:
    """CIELAB D65 to sRGB `rgb_B3HW`; `clip=False` leaves what is out of gamut outside [0, 1]."""
    L, a, b = lab_B3HW.unbind(1)
    y = (L + 16) / 116
    xyz = _lab_f_inverse_t(torch.stack([y + a / 500, y, y - b / 200], dim=1))
    srgb = linear_to_srgb_t(_apply(XYZ_WHITE_1_TO_RGB, xyz))
    return srgb.clamp(0, 1) if clip else srgb


def gray_level_t(L: Tensor) -> Tensor:
    """The sRGB level in [0, 1] of the gray of lightness L in [0, 100]; any shape. One channel of what
    `lab_to_srgb_t` gives for a = b = 0."""
    return linear_to_srgb_t(_lab_f_inverse_t((L + 16) / 116)).clamp(0, 1)


def srgb_to_yuv_t(rgb_B3HW: Tensor) -> Tensor:
    """sRGB in [0, 1] to Y in [0, 1], U in +-0.436, V in +-0.615 (ITU-R BT.601)."""
    return _apply(RGB_TO_YUV, rgb_B3HW)


def yuv_to_srgb_t(yuv_B3HW: Tensor) -> Tensor:
    """The inverse of `srgb_to_yuv_t`; not clipped."""
    return _apply(YUV_TO_RGB, yuv_B3HW)
