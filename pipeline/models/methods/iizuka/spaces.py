"""The colour spaces that the network can predict in, all as numbers in [0, 1]: Lab, YUV and RGB.

The paper compares the three (section 5, figure on colour spaces) and prefers Lab. Whatever the space, the
method returns CIELAB chroma.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.color.spaces_torch import lab_to_srgb_t, srgb_to_lab_t, srgb_to_yuv_t, yuv_to_srgb_t

AB_RANGE = (-110.0, 110.0)
"""The Lab chroma that the sigmoid's 0 and 1 stand for. sRGB's a* spans [-86.2, 98.3], its b* [-107.9, 94.5];
a range symmetric about 0 makes gray the sigmoid's 0.5, where an untrained network starts."""

U_MAX, V_MAX = 0.436, 0.615
"""ITU-R BT.601's extremes of U and V, for Y in [0, 1]."""

CHANNELS = {"lab": 2, "yuv": 2, "rgb": 3}
NORMALISATION = {
    "lab": "L/100; (ab - ab_range[0]) / (ab_range[1] - ab_range[0])",
    "yuv": "L/100; U / 0.872 + 0.5, V / 1.23 + 0.5 (ITU-R BT.601)",
    "rgb": "L/100; sRGB",
}


def ab_to_unit(ab: Tensor) -> Tensor:
    """Lab units to the sigmoid's [0, 1]; any shape."""
    return (ab - AB_RANGE[0]) / (AB_RANGE[1] - AB_RANGE[0])


def unit_to_ab(unit: Tensor) -> Tensor:
    """The sigmoid's [0, 1] to Lab units; any shape."""
    return unit * (AB_RANGE[1] - AB_RANGE[0]) + AB_RANGE[0]


def _half_range(like: Tensor) -> Tensor:
    return torch.tensor([U_MAX, V_MAX], device=like.device, dtype=like.dtype)[:, None, None]


def target_unit(space: str, L_B1hw: Tensor, ab_B2hw: Tensor) -> Tensor:
    """The output that is right for this colour: B x CHANNELS[space] x h x w in [0, 1]."""
    if space == "lab":
        return ab_to_unit(ab_B2hw)
    rgb = lab_to_srgb_t(torch.cat([L_B1hw, ab_B2hw], 1))
    return rgb if space == "rgb" else srgb_to_yuv_t(rgb)[:, 1:] / (2 * _half_range(rgb)) + 0.5


def chroma_of(space: str, unit_Bchw: Tensor, L_B1hw: Tensor) -> Tensor:
    """`ab_B2hw` in Lab units of the network's output at the lightness L.

    A predicted RGB brings its own lightness; its a and b are what is kept. For YUV, Y is that of the gray of
    lightness L. Predictions outside sRGB are clipped to it, as an 8-bit image would be.
    """
    if space == "lab":
        return unit_to_ab(unit_Bchw)
    rgb = unit_Bchw
    if space == "yuv":
        uv = (unit_Bchw - 0.5) * 2 * _half_range(unit_Bchw)
        gray = lab_to_srgb_t(torch.cat([L_B1hw, torch.zeros_like(uv)], 1))
        rgb = yuv_to_srgb_t(torch.cat([gray[:, :1], uv], 1)).clamp(0, 1)
    return srgb_to_lab_t(rgb)[:, 1:]
