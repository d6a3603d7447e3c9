"""RGB, YUV and Lab in one place: ranges, white point, transfer curve, gamut.

Arrays are float32 or float64 with the channels in the last axis; what comes out
has the dtype of what went in. sRGB is IEC 61966-2-1 in [0, 1]; Lab is CIELAB for
D65 and the 2 degree observer, L in [0, 100], a and b in Lab units. NaN stays NaN.

The white point is the matrix's own (the XYZ of R=G=B=1), so that every gray has
a = b = 0 to rounding, which published, rounded constants do not give.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

L_U16_SCALE = 655.35  # 65535 stands for L* 100; the step is 0.0015 L*

# CIE 15:2018: exact fractions, not the rounded 0.008856 and 903.3.
LAB_DELTA = 6.0 / 29.0
LAB_SLOPE = 3.0 * LAB_DELTA**2
LAB_OFFSET = 4.0 / 29.0

# IEC 61966-2-1: a line up to the knee, above it a power of the level plus an offset.
SRGB_KNEE = 0.04045
LINEAR_KNEE = 0.0031308
SRGB_SLOPE = 12.92
SRGB_OFFSET = 0.055
SRGB_SCALE = 1.055
SRGB_GAMMA = 2.4

# Chroma rises from 0 to full between L* 0 and 8, and falls to 0 between 94 and 100, both as a
# smoothstep 3t^2 - 2t^3, so that no edge shows where the fade begins:
# film rebates scan at L* 2 to 6 and lit paper at 96 and more, skin and sky lie inside.
NEUTRAL_FADE_DARK_L = 8.0
NEUTRAL_FADE_LIGHT_L = 94.0

# A channel this far outside [0, 1] in linear light still rounds to 0 or 255: a level of
# 8-bit sRGB is 0.0003 wide at black. It absorbs float32 rounding on the neutral axis.
GAMUT_TOLERANCE = 1e-5
GAMUT_BISECTIONS = 14  # chroma to 1/16384 of the way: below 0.02 Lab units

UV_NEWTON_STEPS = 7  # to 2e-9 Lab units for any a, b in +-120; sRGB colours need five


def _rgb_to_xyz_matrix() -> NDArray[np.float64]:
    """Linear sRGB to XYZ from the standard's primaries and D65 (x 0.3127, y 0.3290)."""
    xy = np.array([[0.64, 0.33], [0.30, 0.60], [0.15, 0.06]])
    primaries = np.stack([xy[:, 0] / xy[:, 1], np.ones(3), (1 - xy.sum(axis=1)) / xy[:, 1]])
    white = np.array([0.3127 / 0.3290, 1.0, (1 - 0.3127 - 0.3290) / 0.3290])
    return np.asarray(primaries * np.linalg.solve(primaries, white), dtype=np.float64)


RGB_TO_XYZ = _rgb_to_xyz_matrix()
RGB_TO_XYZ_WHITE_1 = RGB_TO_XYZ / RGB_TO_XYZ.sum(axis=1, keepdims=True)  # XYZ / XYZ of white
XYZ_WHITE_1_TO_RGB = np.linalg.inv(RGB_TO_XYZ_WHITE_1)

# ITU-R BT.601 luma with the analogue U, V scale: U in +-0.436, V in +-0.615.
RGB_TO_YUV = np.array(
    [
        [0.299, 0.587, 0.114],
        [-0.299 * 0.436 / 0.886, -0.587 * 0.436 / 0.886, 0.436],
        [0.615, -0.587 * 0.615 / 0.701, -0.114 * 0.615 / 0.701],
    ]
)
YUV_TO_RGB = np.linalg.inv(RGB_TO_YUV)


def _floats(values: Floats, channels: int | None = 3) -> Floats:
    """The array itself. Raises TypeError for integers, whose range is not 0..1, and ValueError for a last
    axis of another length: both would give wrong colours in silence."""
    array = np.asarray(values)
    if array.dtype not in (np.float32, np.float64):
        raise TypeError(f"colours must be float32 or float64, not {array.dtype}")
    if channels is not None and (array.ndim == 0 or array.shape[-1] != channels):
        raise ValueError(f"the last axis must hold {channels} channels; the shape is {array.shape}")
    return array


def _apply(matrix: NDArray[np.float64], values: Floats) -> Floats:
    return np.asarray(values @ matrix.T.astype(values.dtype))


def srgb_to_linear(srgb: Floats) -> Floats:
    """Undo the sRGB curve (IEC 61966-2-1). Any shape; negative values stay on the linear piece."""
    srgb = _floats(srgb, None)
    power = ((np.maximum(srgb, SRGB_KNEE) + SRGB_OFFSET) / SRGB_SCALE) ** SRGB_GAMMA
    return np.asarray(np.where(srgb <= SRGB_KNEE, srgb / SRGB_SLOPE, power), dtype=srgb.dtype)


@functools.cache
def linear_of_levels(bits: int) -> NDArray[np.float64]:
    """Linear light in [0, 1] of every sRGB level of 8 or 16 bits, float64[2**bits], read-only."""
    table = srgb_to_linear(np.arange(2**bits) / (2**bits - 1)).astype(np.float64)
    table.flags.writeable = False
    return table


def linear_to_srgb(linear: Floats) -> Floats:
    """Apply the sRGB curve (IEC 61966-2-1). Any shape; negative values stay on the linear piece."""
    linear = _floats(linear, None)
    power = SRGB_SCALE * np.maximum(linear, LINEAR_KNEE) ** (1 / SRGB_GAMMA) - SRGB_OFFSET
    return np.asarray(np.where(linear <= LINEAR_KNEE, linear * SRGB_SLOPE, power), dtype=linear.dtype)


def lab_f(t: Floats) -> Floats:
    """The curve of CIELAB (CIE 15:2018) over X, Y or Z of white 1; any shape."""
    return np.where(t > LAB_DELTA**3, np.cbrt(t), t / LAB_SLOPE + LAB_OFFSET)


def lab_f_inverse(f: Floats) -> Floats:
    """The inverse of `lab_f`; any shape."""
    return np.where(f > LAB_DELTA, f**3, LAB_SLOPE * (f - LAB_OFFSET))


def srgb_to_lab(srgb: Floats) -> Floats:
    """sRGB in [0, 1] to CIELAB D65 (CIE 15:2018). Raises TypeError for integers, ValueError for shape."""
    srgb = _floats(srgb)
    f = lab_f(_apply(RGB_TO_XYZ_WHITE_1, srgb_to_linear(srgb)))
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1).astype(srgb.dtype, copy=False)


def _lab_to_linear(lab: Floats) -> Floats:
    y = (lab[..., 0] + 16) / 116
    xyz = lab_f_inverse(np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], axis=-1))
    return _apply(XYZ_WHITE_1_TO_RGB, xyz)


def lab_to_srgb(lab: Floats, *, clip: bool = True) -> Floats:
    """CIELAB D65 to sRGB; `clip=False` leaves what is out of gamut outside [0, 1].

    Clipping shifts hue and luminance: call `reduce_chroma_to_gamut` first where it matters.
    """
    lab = _floats(lab)
    srgb = linear_to_srgb(_lab_to_linear(lab).astype(lab.dtype, copy=False))
    return np.clip(srgb, 0, 1) if clip else srgb


def in_gamut(lab: Floats) -> NDArray[np.bool_]:
    """Whether each Lab colour is an sRGB colour, within `GAMUT_TOLERANCE` of linear light."""
    linear = _lab_to_linear(_floats(lab))
    low, high = -GAMUT_TOLERANCE, 1 + GAMUT_TOLERANCE
    return np.asarray(np.all((linear >= low) & (linear <= high), axis=-1))


def reduce_chroma_to_gamut(lab: Floats) -> Floats:
    """Bring colours into sRGB along the line to the neutral axis: L* and hue angle stay.

    Bisection on the chroma, only where needed. The result is the most chroma found in gamut;
    for L* outside [0, 100], where there is none, it is neutral.
    """
    lab = _floats(lab)
    flat = lab.reshape(-1, 3).copy()
    outside = np.flatnonzero(~in_gamut(flat))
    colours = flat[outside]
    low = np.zeros(len(outside), dtype=lab.dtype)
    high = np.ones(len(outside), dtype=lab.dtype)
    for _ in range(GAMUT_BISECTIONS):
        middle = (low + high) / 2
        trial = colours.copy()
        trial[:, 1:] *= middle[:, None]
        inside = in_gamut(trial)
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    flat[outside, 1:] = colours[:, 1:] * low[:, None]
    return flat.reshape(lab.shape)


def srgb_to_yuv(srgb: Floats) -> Floats:
    """sRGB in [0, 1] to Y in [0, 1], U in +-0.436, V in +-0.615 (ITU-R BT.601, on encoded values)."""
    return _apply(RGB_TO_YUV, _floats(srgb))


def lab_to_uv(lab: Floats) -> Floats:
    """The U and V [..., 2] of Lab colours, as `srgb_to_yuv` has them; sRGB need not hold the colours."""
    return srgb_to_yuv(lab_to_srgb(lab, clip=False))[..., 1:]


def uv_to_ab(L: Floats, uv: Floats) -> Floats:
    """The a and b [..., 2] of the colours of lightness `L` [...] whose U and V are `uv` [..., 2].

    The inverse of `lab_to_uv` at constant lightness: Y of a colour is not that of the gray of its lightness,
    so Y is found here. Luminance is a convex, rising function of it, and Newton's steps from above stay
    above and converge.
    """
    L, uv = _floats(L, None), _floats(uv, 2)
    offsets = _apply(YUV_TO_RGB[:, 1:], uv)  # R - Y, G - Y, B - Y
    weights = RGB_TO_XYZ[1].astype(uv.dtype)
    luminance = lab_f_inverse((L + 16) / 116)
    # By Jensen's inequality this Y is too large or right.
    y = linear_to_srgb(luminance.astype(uv.dtype, copy=False)) - offsets @ weights
    for _ in range(UV_NEWTON_STEPS):
        srgb = y[..., None] + offsets
        y -= (srgb_to_linear(srgb) @ weights - luminance) / (_srgb_to_linear_slope(srgb) @ weights)
    return srgb_to_lab(y[..., None] + offsets)[..., 1:]


def _srgb_to_linear_slope(srgb: Floats) -> Floats:
    base = (np.maximum(srgb, SRGB_KNEE) + SRGB_OFFSET) / SRGB_SCALE
    power = SRGB_GAMMA / SRGB_SCALE * base ** (SRGB_GAMMA - 1)
    return np.where(srgb <= SRGB_KNEE, 1 / SRGB_SLOPE, power).astype(srgb.dtype, copy=False)
