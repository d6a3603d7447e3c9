"""Read ICC profiles that are a curve, or three curves and a matrix, in full float64 precision.

LittleCMS could do it, but its optimisation replaces curves by tables, which distort linear and steep ones by
several L*. Profiles with a lookup table stay with LittleCMS (`profiles`). Source: ICC.1:2022, sections 7, 9
and 10.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.color import spaces
from pipeline.color.light import Light, d50_to_linear_srgb

F64 = NDArray[np.float64]
Curve = Callable[[F64], F64]
"""From samples in [0, 1] to linear light; what lies outside [0, 1] is clipped by who calls."""

_HEADER, _ENTRY, _MOST_TAGS = 128, 12, 200
_TABLES = (b"A2B0", b"A2B1", b"D2B1")  # those that LittleCMS would take for relative colorimetric
_COLORANTS = (b"rXYZ", b"gXYZ", b"bXYZ")
_CURVES = (b"rTRC", b"gTRC", b"bTRC")
_PARAMETERS = (1, 3, 4, 5, 7)  # of the five function types (10.18)


@dataclass(frozen=True)
class CurveProfile:
    """A profile without tables: one curve for gray, or three and the colorants' XYZ as columns (D50)."""

    curves: tuple[Curve, ...]
    colorants: F64 | None = None

    def light(self, levels: int) -> Light:
        """What it means for samples of 256 or 65536 levels."""
        ramp = np.arange(levels) / (levels - 1)
        curves = np.stack([np.clip(curve(ramp), 0, 1) for curve in self.curves])
        matrix = None if self.colorants is None else d50_to_linear_srgb() @ self.colorants
        return Light(np.ascontiguousarray(curves), matrix)


def read_curves(icc: bytes) -> CurveProfile | None:
    """The profile where it is gray or RGB without a lookup table; None for others.

    Raises:
        ValueError: what it holds makes no sense.
    """
    tags, space = _tags(icc), icc[16:20]
    if any(tag in tags for tag in _TABLES):
        return None
    if space == b"GRAY" and b"kTRC" in tags:
        curve = _curve(tags[b"kTRC"])
        return CurveProfile((_from_lightness(curve) if icc[20:24] == b"Lab " else curve,))
    if space == b"RGB " and all(tag in tags for tag in (*_COLORANTS, *_CURVES)):
        columns = np.stack([_xyz(tags[tag]) for tag in _COLORANTS], axis=1)
        return CurveProfile(tuple(_curve(tags[tag]) for tag in _CURVES), columns)
    return None


def _tags(icc: bytes) -> dict[bytes, bytes]:
    """The tags' data by signature."""
    if len(icc) < _HEADER + 4:
        raise ValueError("it is cut short")
    count = int.from_bytes(icc[_HEADER : _HEADER + 4], "big")
    if count > _MOST_TAGS or _HEADER + 4 + _ENTRY * count > len(icc):
        raise ValueError(f"it claims {count:,} tags")
    tags: dict[bytes, bytes] = {}
    for index in range(count):
        signature, at, size = struct.unpack_from(">4sLL", icc, _HEADER + 4 + _ENTRY * index)
        tags.setdefault(signature, icc[at : at + size])
    return tags


def _xyz(data: bytes) -> F64:
    if data[:4] != b"XYZ " or len(data) < 20:
        raise ValueError("a colorant is not of type XYZ")
    return np.array(struct.unpack_from(">3l", data, 8)) / 65536


def _curve(data: bytes) -> Curve:
    """A tag of type curveType (10.6) or parametricCurveType (10.18)."""
    if data[:4] == b"curv" and len(data) >= 12:
        return _sampled(data)
    if data[:4] == b"para" and len(data) >= 12:
        kind = int.from_bytes(data[8:10], "big")
        if kind < len(_PARAMETERS) and len(data) >= 12 + 4 * _PARAMETERS[kind]:
            values = np.array(struct.unpack_from(f">{_PARAMETERS[kind]}l", data, 12)) / 65536
            return _parametric(kind, *values.tolist())
    raise ValueError("a curve is invalid")


def _sampled(data: bytes) -> Curve:
    count = int.from_bytes(data[8:12], "big")
    if count == 0:
        return lambda samples: samples
    if len(data) < 12 + 2 * count:
        raise ValueError("a curve is cut short")
    if count == 1:
        gamma = int.from_bytes(data[12:14], "big") / 256
        return lambda samples: samples**gamma
    entries = np.frombuffer(data, ">u2", count, 12) / 65535
    places = np.arange(count) / (count - 1)
    return lambda samples: np.interp(samples, places, entries)


def _parametric(
    kind: int,
    g: float,
    a: float = 1.0,
    b: float = 0.0,
    c: float = 0.0,
    d: float = 0.0,
    e: float = 0.0,
    f: float = 0.0,
) -> Curve:
    """Table 68 of ICC.1:2022, as one: (a X + b)^g + above from `knee` on, c X + below under it."""
    above, below, slope, knee = 0.0, 0.0, 0.0, -np.inf
    if kind in (1, 2):
        knee = -b / a if a else np.inf
        above = below = c if kind == 2 else 0.0
    elif kind in (3, 4):
        knee, slope = d, c
        above, below = (e, f) if kind == 4 else (0.0, 0.0)

    def curve(samples: F64) -> F64:
        power = np.maximum(a * samples + b, 0) ** g + above
        return np.where(samples >= knee, power, slope * samples + below)

    return curve


def _from_lightness(curve: Curve) -> Curve:
    """Gray under a connection space of CIELAB: the curve leads to L* (9.2.x, grayTRCTag)."""

    def light(samples: F64) -> F64:
        f = (100 * np.clip(curve(samples), 0, 1) + 16) / 116
        return np.where(f > spaces.LAB_DELTA, f**3, spaces.LAB_SLOPE * (f - spaces.LAB_OFFSET))

    return light
