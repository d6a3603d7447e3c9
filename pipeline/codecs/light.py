"""What the samples of a source mean as light: the one answer for every container, depth and path.

In the order that their standards give: an ICC profile, wherever it stands; PNG's cICP, iCCP, sRGB, gAMA with
cHRM (W3C PNG, third edition, 4.3); JP2's first `colr` box that is understood (ITU-T T.800, I.5.3.3); TIFF's
TransferFunction and ReferenceBlackWhite (TIFF 6.0, sections 20 and 21); else sRGB.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.codecs.metadata import profiles
from pipeline.color import spaces
from pipeline.color.light import SRGB, Light, primaries_to_linear_srgb

F64 = NDArray[np.float64]
Levels = NDArray[Any]  # uint8 or uint16
Curve = Callable[[F64], F64]

_D65 = (0.3127, 0.3290)
_SRGB_XY = np.array([_D65, (0.64, 0.33), (0.30, 0.60), (0.15, 0.06)])
# ITU-T H.273, table 2: chromaticities of white, red, green and blue.
_PRIMARIES = {
    1: _SRGB_XY,
    4: np.array([(0.310, 0.316), (0.67, 0.33), (0.21, 0.71), (0.14, 0.08)]),
    5: np.array([_D65, (0.64, 0.33), (0.29, 0.60), (0.15, 0.06)]),
    6: np.array([_D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070)]),
    7: np.array([_D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070)]),
    8: np.array([(0.310, 0.316), (0.681, 0.319), (0.243, 0.692), (0.145, 0.049)]),
    9: np.array([_D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046)]),
    11: np.array([(0.314, 0.351), (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)]),
    12: np.array([_D65, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)]),
    22: np.array([_D65, (0.630, 0.340), (0.295, 0.605), (0.155, 0.077)]),
}
_TRANSFER_FUNCTION, _REFERENCE_BLACK_WHITE = 301, 532
_MIN_IS_WHITE, _RGB, _YCBCR = 0, 2, 6
#: gAMA and cHRM that PNG prescribes beside an sRGB chunk (11.3.2.5): alone they still mean sRGB.
_SRGB_GAMMA = 45_455
_SRGB_CHRM = (31_270, 32_900, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000)
_ENUMERATED, _ICC_METHODS, _SRGB_SPACE, _GRAY_SPACE, _YCC_SPACE, _ROMM_SPACE = 1, (2, 3), 16, 17, 18, 21
_ROMM_XY = np.array([(0.3457, 0.3585), (0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001)])


@dataclass(frozen=True)
class Stated:
    """What a file says of its samples without a profile.

    Attributes:
        name: for the ledger, such as `gAMA 0.55556`.
        curves: from samples in [0, 1] to linear light, one or three; None: sRGB.
        matrix: float64[3,3] from linear light of its primaries to linear sRGB; None: they are sRGB's.
        is_plain: no note in the row, because the samples can mean nothing else.
    """

    name: str
    curves: tuple[Curve, ...] | None = None
    matrix: F64 | None = None
    is_plain: bool = False

    def light(self, levels: int) -> Light:
        """What it means for samples of 256 or 65536 levels."""
        if self.curves is None:
            return SRGB
        ramp = np.arange(levels) / (levels - 1)
        curves = np.stack([np.maximum(curve(ramp), 0) for curve in self.curves])
        return Light(np.ascontiguousarray(curves), self.matrix)


Statement = bytes | Stated
"""An ICC profile, or what stands for one."""


@dataclass(frozen=True)
class Meaning:
    """What the samples of a picture mean.

    Attributes:
        light: of the samples; None where LittleCMS has to read them, by `profile`.
        profile: the profile that they are under, None without.
        icc: the one that a result can carry, None without.
        source: what the light was read from, for the ledger; None: a profile, or nothing at all.
        notes: for the row.
    """

    light: Light | None
    profile: bytes | None = None
    icc: bytes | None = None
    source: str | None = None
    notes: tuple[str, ...] = ()

    def applied(self, samples: Levels) -> tuple[Levels, Light]:
        """Samples of the picture, all or some rows, and their light: they are the same, or what LittleCMS
        made of them, uint16[H,W,3]."""
        if self.light is not None:
            return samples, self.light
        assert self.profile is not None
        return profiles.through_profile(samples, self.profile)


def meaning(gray: bool, depth: int, statements: Iterable[Statement]) -> Meaning:
    """What the samples of a gray or RGB picture of 8 or 16 bits mean, by the first statement that fits them.

    A profile that cannot be used is passed over with a note. Gray under an RGB profile is taken as equal
    red, green and blue.
    """
    notes: list[str] = []
    levels = 256 if depth == 8 else 65536
    for statement in statements:
        if isinstance(statement, Stated):
            light = statement.light(levels)
            notes += [] if light.is_srgb or statement.is_plain else [f"its {statement.name} was applied"]
            return Meaning(light, source=statement.name, notes=tuple(notes))
        profile = profiles.examine(statement)
        if profile.mode != "RGB" and not (gray and profile.mode == "L"):
            notes.append(f"its colour profile was ignored: {profile.problem or 'it does not fit the pixels'}")
            continue
        found = profiles.light_of(statement, levels, gray)
        carried = not gray or (found is not None and found.is_srgb)
        return Meaning(found, statement, statement if carried else None, notes=tuple(notes))
    if not gray and depth == 16 and not notes:
        notes.append("no colour profile: sRGB was assumed")
    return Meaning(SRGB, notes=tuple(notes))


def png_statements(chunks: Iterable[tuple[bytes, bytes]], icc: bytes | None) -> list[Statement]:
    """What a PNG says, the most binding first.

    Args:
        chunks: its chunks by type, up to the image data at least.
        icc: the profile of its iCCP chunk.
    """
    found: dict[bytes, bytes] = {}
    for kind, content in chunks:
        if kind == b"IDAT":
            break
        found.setdefault(kind, content)
    code = found.get(b"cICP", b"")
    said: list[Statement | None] = [cicp(*code[:4]) if len(code) == 4 else None, icc]
    if b"sRGB" in found:
        said.append(Stated("sRGB chunk"))
    said.append(_gama(found.get(b"gAMA", b""), found.get(b"cHRM", b"")))
    return [one for one in said if one is not None]


def _gama(gama: bytes, chrm: bytes) -> Stated | None:
    gamma = int.from_bytes(gama, "big") if len(gama) == 4 else 0
    stated = struct.unpack(">8L", chrm) if len(chrm) == 32 else None
    matrix = None
    if stated is not None and stated != _SRGB_CHRM:
        matrix = primaries_to_linear_srgb(np.array(stated).reshape(4, 2) / 100_000)
    if not gamma and matrix is None:
        return None
    if gamma in (0, _SRGB_GAMMA) and matrix is None:
        return Stated("gAMA and cHRM of sRGB")
    name = f"gAMA {gamma / 100_000:g}" if gamma else "cHRM"
    curve: Curve = _srgb if gamma in (0, _SRGB_GAMMA) else _power(100_000 / gamma)
    return Stated(name, (curve,), matrix)


def _srgb(samples: F64) -> F64:
    return np.asarray(spaces.srgb_to_linear(samples), dtype=np.float64)


def _power(exponent: float) -> Curve:
    return lambda samples: np.asarray(samples**exponent, dtype=np.float64)


def cicp(primaries: int, transfer: int, matrix: int, full_range: int) -> Stated | None:
    """Code points of ITU-T H.273, of RGB; None for those that no still picture of ours has (PQ, HLG)."""
    curve = _transfer(transfer)
    if curve is None or primaries not in _PRIMARIES or matrix != 0:
        return None
    name = f"cICP {primaries}/{transfer}"
    of_xy = None if primaries == 1 else primaries_to_linear_srgb(_PRIMARIES[primaries])
    if full_range == 0:  # black at 16 and white at 235 of 255 (H.273, 8.3)
        inner = curve
        curve = lambda samples: inner(np.clip((samples * 255 - 16) / 219, 0, 1))  # noqa: E731
    elif transfer == 13 and of_xy is None:
        return Stated(name)
    return Stated(name, (curve,), of_xy)


def _transfer(code: int) -> Curve | None:
    """ITU-T H.273, table 3, from samples to light."""
    if code == 13:
        return _srgb
    if code in (4, 5, 8):
        return _power({4: 2.2, 5: 2.8, 8: 1.0}[code])
    if code in (1, 6, 14, 15):
        alpha, beta = 1.09929682680944, 0.018053968510807
        return lambda v: np.where(v < 4.5 * beta, v / 4.5, ((v + alpha - 1) / alpha) ** (1 / 0.45))
    if code == 7:
        return lambda v: np.where(v < 4 * 0.0228, v / 4, ((v + 0.1115) / 1.1115) ** (1 / 0.45))
    return None


def jp2_statements(boxes: Iterable[tuple[bytes, bytes]]) -> list[Statement]:
    """What the `colr` boxes of a JP2 say; `boxes` are those of its header, by type."""
    found: list[Statement] = []
    for kind, content in boxes:
        if kind != b"colr" or len(content) < 3:
            continue
        if content[0] in _ICC_METHODS:
            found.append(content[3:])
        elif content[0] == _ENUMERATED and len(content) >= 7:
            space = int.from_bytes(content[3:7], "big")
            if space in (_SRGB_SPACE, _GRAY_SPACE, _YCC_SPACE):
                found.append(Stated(f"colr box, space {space}"))
            elif space == _ROMM_SPACE:  # ISO 22028-2
                curve: Curve = lambda v: np.where(v < 16 / 512, v / 16, v**1.8)  # noqa: E731
                matrix = primaries_to_linear_srgb(_ROMM_XY)
                found.append(Stated(f"colr box, space {space}", (curve,), matrix))
    return found


def tiff_statements(tags: Mapping[int, Any], icc: bytes | None, bits: int) -> list[Statement]:
    """What the tags of a TIFF page say; `bits` is the depth of its samples as they are stored."""
    found: list[Statement] = [icc] if icc else []
    photometric = int(tags.get(262, 1))
    if photometric not in (0, 1, _RGB, _YCBCR) or bits > 16:
        return found
    curves, names = _transfer_function(tags, bits, photometric), []
    if curves is not None:
        names.append("transfer function")
    ranges = list(_ranges(tags, bits, photometric))
    if ranges:
        names.append("ReferenceBlackWhite")
        inner = curves or (_srgb,)
        count = max(len(ranges), len(inner))
        curves = tuple(
            _within(ranges[min(i, len(ranges) - 1)], inner[min(i, len(inner) - 1)]) for i in range(count)
        )
    if curves is not None:
        found.append(Stated(" and ".join(names), curves))
    return found


def _transfer_function(tags: Mapping[int, Any], bits: int, photometric: int) -> tuple[Curve, ...] | None:
    values, length = np.ravel(tags.get(_TRANSFER_FUNCTION, ())), 2**bits
    if values.size not in (length, 3 * length) or values.dtype.kind not in "iuf":
        return None
    tables = np.clip(values.astype(np.float64) / 65535, 0, 1).reshape(-1, length)
    if photometric == _MIN_IS_WHITE and tables[0, 0] > tables[0, -1]:
        tables = tables[:, ::-1]  # over the samples as they are stored, and ours are turned over
    places = np.arange(length) / (length - 1)
    return tuple(_table(places, table) for table in tables)


def _table(places: F64, table: F64) -> Curve:
    return lambda samples: np.interp(samples, places, table)


def _ranges(tags: Mapping[int, Any], bits: int, photometric: int) -> Iterator[tuple[float, float]]:
    """The samples in [0, 1] of black and white, of one channel or three; none where they are 0 and 1."""
    try:
        values = [float(value) for value in np.ravel(tags.get(_REFERENCE_BLACK_WHITE, ()))]
    except (TypeError, ValueError, ZeroDivisionError):
        return
    most = 2**bits - 1
    pairs = [(values[i] / most, values[i + 1] / most) for i in range(0, len(values) - 1, 2)]
    if photometric != _RGB:
        pairs = pairs[:1]  # of luma: the samples of a YCbCr page come as RGB
    if photometric == _MIN_IS_WHITE and pairs and pairs[0][0] > pairs[0][1]:
        pairs = [(1 - pairs[0][0], 1 - pairs[0][1])]
    sound = all(np.isfinite(pair).all() and pair[0] < pair[1] for pair in pairs)
    if sound and any(abs(low) > 1e-6 or abs(high - 1) > 1e-6 for low, high in pairs):
        yield from pairs


def _within(limits: tuple[float, float], curve: Curve) -> Curve:
    low, high = limits
    return lambda samples: curve(np.clip((samples - low) / (high - low), 0, 1))
