"""What samples mean as light: curves from levels to linear light, and the primaries.

A `Light` is the one description of a colour space from which lightness is computed, whatever file, depth or
path the samples come from. Everything is float64 until `L_u16` or a level is rounded, once. Colours outside
sRGB keep their lightness, because it is computed before anything is clipped.

This module has no compiled kernels, because the decoder processes have no memory for the compiler.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.color import spaces

F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]
U16 = NDArray[np.uint16]
Levels = NDArray[Any]  # uint8 or uint16

_STEPS = 65535  # of the table from linear light to levels of 8 bits: 20 steps to the darkest one
_TO_LEVEL_8: U8 = np.round(spaces.linear_to_srgb(np.arange(_STEPS + 1) / _STEPS) * 255).astype(np.uint8)

# L* is read from a table over Y with straight lines between the entries: with 65536 of them the
# error is 2e-6 L*. The last entry is doubled, so that Y = 1 has a right-hand neighbour.
_STEPS_Y = 65535
_BLOCK = 2**18  # pixels at a time: what is float64 in between stays in a cache

_D50 = np.array([0.9642, 1.0, 0.8249])  # the white of ICC's connection space (ICC.1:2022, 7.2.16)
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


@dataclass(frozen=True, eq=False)
class Light:
    """How light follows from samples.

    Attributes:
        curves: float64[1 or 3, 256 or 65536], linear light of each level, 1 for white; None: the sRGB curve.
        matrix: float64[3,3] from the linear channels to linear sRGB; None where they are those of sRGB.
    """

    curves: F64 | None = None
    matrix: F64 | None = None

    @property
    def is_srgb(self) -> bool:
        """Whether the samples are sRGB as they are."""
        return self.curves is None and self.matrix is None


SRGB = Light()


def adaptation(white_xyz: F64) -> F64:
    """float64[3,3], XYZ under `white_xyz` to XYZ under D65, by Bradford (ICC.1:2022, annex E)."""
    gains = (_BRADFORD @ spaces.RGB_TO_XYZ.sum(axis=1)) / (_BRADFORD @ white_xyz)
    return np.asarray(np.linalg.inv(_BRADFORD) @ (gains[:, None] * _BRADFORD), dtype=np.float64)


def d50_to_linear_srgb() -> F64:
    """float64[3,3], XYZ of ICC's connection space to linear sRGB."""
    return np.asarray(np.linalg.inv(spaces.RGB_TO_XYZ) @ adaptation(_D50), dtype=np.float64)


def primaries_to_linear_srgb(xy_42: F64) -> F64 | None:
    """float64[3,3], linear light of primaries to linear sRGB; None where these are no primaries.

    xy_42: chromaticities x, y of white, red, green and blue.
    """
    with np.errstate(all="ignore"):
        xyz = np.stack([xy_42[:, 0] / xy_42[:, 1], np.ones(4), (1 - xy_42.sum(axis=1)) / xy_42[:, 1]])
    if not np.isfinite(xyz).all() or abs(np.linalg.det(xyz[:, 1:])) < 1e-6:
        return None
    to_xyz = xyz[:, 1:] * np.linalg.solve(xyz[:, 1:], xyz[:, 0])
    made = np.linalg.inv(spaces.RGB_TO_XYZ) @ adaptation(xyz[:, 0]) @ to_xyz
    return np.asarray(made, dtype=np.float64) if np.isfinite(made).all() else None


def lightness_of_y(y: F64) -> F64:
    """CIE L* times `L_U16_SCALE`, not rounded, of luminance, 1 for white."""
    return np.asarray((116 * spaces.lab_f(y) - 16) * spaces.L_U16_SCALE, dtype=np.float64)


L_OF_Y = lightness_of_y(np.minimum(np.arange(_STEPS_Y + 2) / _STEPS_Y, 1.0))


def curves_of(light: Light, levels: int) -> F64:
    """float64[3, levels]. Raises ValueError where the light is for another depth."""
    curves = light.curves
    if curves is None:
        curves = np.asarray(spaces.srgb_to_linear(np.arange(levels) / (levels - 1)), np.float64)[None]
    if curves.shape[1] != levels:
        raise ValueError(f"the curves have {curves.shape[1]} levels, the samples {levels}")
    return np.ascontiguousarray(np.broadcast_to(curves, (3, levels)))


def _levels(samples: Levels) -> int:
    if samples.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"expected uint8 or uint16; got {samples.dtype}")
    return 256 if samples.dtype == np.uint8 else 65536


def lightness(samples: Levels, light: Light = SRGB) -> U16:
    """`L_u16` of samples uint8 or uint16, [H,W] gray or [H,W,3] (CIE L* for D65, 65535 for 100).

    Gray under a light of three channels is taken as all of them alike. Raises ValueError for other arrays.
    """
    weighted = _weighted(light, _levels(samples))
    if samples.ndim == 2:
        y = weighted.sum(axis=0) if light.matrix is not None else curves_of(light, _levels(samples))[0]
        y = np.clip(y, 0, 1)
        return np.take(np.round(lightness_of_y(y)).astype(np.uint16), samples)
    if samples.ndim != 3 or samples.shape[2] != 3:
        raise ValueError(f"expected [H,W] or [H,W,3]; got {samples.shape}")
    l_u16 = np.empty(samples.shape[:2], np.uint16)
    for rows in _blocks(samples):
        r, g, b = np.moveaxis(samples[rows], -1, 0)
        y = (weighted[0][r] + weighted[1][g] + weighted[2][b]) * _STEPS_Y
        y = np.clip(y, 0, _STEPS_Y)
        left = y.astype(np.uint32)
        at_left = L_OF_Y[left]
        l_u16[rows] = (at_left + (y - left) * (L_OF_Y[left + 1] - at_left) + 0.5).astype(np.uint16)
    return l_u16


def _blocks(samples: Levels) -> Iterator[slice]:
    rows = max(1, _BLOCK // max(samples.shape[1], 1))
    return (slice(top, top + rows) for top in range(0, samples.shape[0], rows))


def _weighted(light: Light, levels: int) -> F64:
    """float64[3, levels]: what each level of each channel adds to the luminance."""
    to_y = spaces.RGB_TO_XYZ[1]
    weights = to_y if light.matrix is None else to_y @ light.matrix
    return np.ascontiguousarray(curves_of(light, levels) * weights[:, None])


def to_srgb8(samples: Levels, light: Light) -> U8:
    """The samples as sRGB of 8 bits, uint8[H,W] or [H,W,3]; what sRGB cannot hold is clipped."""
    levels = _levels(samples)
    if light.is_srgb:
        return samples if levels == 256 else np.asarray((samples >> 8).astype(np.uint8))
    if samples.ndim == 2:
        gray = np.clip(_weighted(light, levels).sum(axis=0), 0, 1)
        return np.take(np.rint(spaces.linear_to_srgb(gray) * 255).astype(np.uint8), samples)
    out = np.empty(samples.shape, np.uint8)
    curves = curves_of(light, levels)
    matrix = np.eye(3) if light.matrix is None else light.matrix
    for rows in _blocks(samples):
        linear = [curve[samples[rows][..., channel]] for channel, curve in enumerate(curves)]
        for channel, (of_r, of_g, of_b) in enumerate(matrix):
            mixed = np.clip(of_r * linear[0] + of_g * linear[1] + of_b * linear[2], 0, 1)
            out[rows][..., channel] = _TO_LEVEL_8[(mixed * _STEPS + 0.5).astype(np.uint32)]
    return out
