"""ICC profiles made byte by byte (ICC.1:2022), and their meaning by the standard's formulas, in float64."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

D50 = (0.9642, 1.0, 0.8249)
#: Columns red, green, blue: XYZ under D50, of the profiles that Adobe and Kodak publish.
ADOBE_RGB = np.array([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]])
PROPHOTO = np.array([[0.79767, 0.13519, 0.03134], [0.28804, 0.71188, 0.00009], [0.0, 0.0, 0.82491]])


def s15(value: float) -> bytes:
    """s15Fixed16Number."""
    return struct.pack(">l", round(value * 65536))


def xyz(values: Sequence[float]) -> bytes:
    """XYZType."""
    return b"XYZ \0\0\0\0" + b"".join(s15(float(value)) for value in values)


def sampled(values: F64) -> bytes:
    """curveType with entries in [0, 1]."""
    entries = np.rint(np.asarray(values) * 65535).astype(">u2")
    return b"curv\0\0\0\0" + struct.pack(">L", len(entries)) + entries.tobytes()


def gamma_curve(gamma: float) -> bytes:
    """curveType with one entry, u8Fixed8Number."""
    return b"curv\0\0\0\0" + struct.pack(">LH", 1, round(gamma * 256))


def parametric(kind: int, *values: float) -> bytes:
    """parametricCurveType."""
    return b"para\0\0\0\0" + struct.pack(">HH", kind, 0) + b"".join(s15(value) for value in values)


def profile(space: bytes, tags: dict[bytes, bytes], *, pcs: bytes = b"XYZ ", kind: bytes = b"mntr") -> bytes:
    """A version 4 profile with these tags and the tags that every profile must have."""
    text = "x".encode("utf-16-be")
    words = b"mluc\0\0\0\0" + struct.pack(">LL2s2sLL", 1, 12, b"en", b"US", len(text), 28) + text
    tags = {b"desc": words, b"cprt": words, b"wtpt": xyz(D50), **tags}
    at, table, body = 132 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        padded = data + bytes(-len(data) % 4)
        table += struct.pack(">4sLL", name, at + len(body), len(data))
        body += padded
    head = struct.pack(">L4sL4s4s4s", at + len(body), b"\0\0\0\0", 0x04200000, kind, space, pcs)
    head += struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + b"".join(s15(v) for v in D50)
    return head.ljust(128, b"\0") + struct.pack(">L", len(tags)) + table + body


def gray_profile(curve: bytes, *, pcs: bytes = b"XYZ ") -> bytes:
    """A gray profile with one curve."""
    return profile(b"GRAY", {b"kTRC": curve}, pcs=pcs)


def matrix_profile(curves: Sequence[bytes], columns: F64 = ADOBE_RGB) -> bytes:
    """An RGB profile with three curves and its colorants."""
    tags: dict[bytes, Any] = {name: xyz(columns[:, i]) for i, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))}
    return profile(b"RGB ", tags | dict(zip((b"rTRC", b"gTRC", b"bTRC"), curves, strict=True)))


def dot_gain(percent: float) -> F64:
    """256 entries: light of a gray whose halftone dots grow by this percentage at 50 % (Yule and Nielsen)."""
    ink = 1 - np.linspace(0, 1, 256)
    spread = ink + percent / 100 * 4 * ink * (1 - ink)
    return np.asarray(np.clip(1 - spread, 0, 1), dtype=np.float64)


def l_star(y: F64) -> F64:
    """CIE L* of luminance, 1 for white (CIE 15:2018)."""
    y = np.clip(y, 0, 1)
    return np.where(y > (6 / 29) ** 3, 116 * np.cbrt(y) - 16, y * (29 / 3) ** 3)
