"""What the samples of a source mean as light, for every container, depth and code path.

In the order that their standards give: an ICC profile, wherever it stands; PNG's cICP, iCCP, sRGB, gAMA with
cHRM (W3C PNG, third edition, 4.3); JP2's first `colr` box that is understood (ITU-T T.800, I.5.3.3); TIFF's
TransferFunction and ReferenceBlackWhite (TIFF 6.0, sections 20 and 21); the `nclx` of HEIF and AVIF; the
headers of BMP from version 4 on ([MS-WMF], 2.2.2.4 and 2.2.2.5); else sRGB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.codecs.metadata import profiles
from pipeline.color import spaces
from pipeline.color.light import SRGB, Light

F64 = NDArray[np.float64]
Levels = NDArray[Any]  # uint8 or uint16
Curve = Callable[[F64], F64]

_TRANSFER_FUNCTION, _REFERENCE_BLACK_WHITE = 301, 532
_MIN_IS_WHITE, _RGB, _YCBCR = 0, 2, 6


@dataclass(frozen=True)
class ColourSpaceStatement:
    """The colour space that a file states without a profile.

    Attributes:
        name: for the ledger, such as `gAMA 0.55556`.
        curves: from samples in [0, 1] to linear light, one or three; None: sRGB.
        matrix: float64[3,3] from linear light of its primaries to linear sRGB; None: they are sRGB's.
        is_plain: needs no note in the row, because no other interpretation is possible.
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


Statement = bytes | ColourSpaceStatement
"""An ICC profile, or another statement of the colour space."""


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

    An unusable profile is skipped, with a note. Gray under an RGB profile is taken as equal red, green and
    blue.
    """
    notes: list[str] = []
    levels = 256 if depth == 8 else 65536
    for statement in statements:
        if isinstance(statement, ColourSpaceStatement):
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


def srgb(samples: F64) -> F64:
    """sRGB samples in [0, 1] to light."""
    return np.asarray(spaces.srgb_to_linear(samples), dtype=np.float64)


def power(exponent: float) -> Curve:
    """The curve samples ** exponent."""
    return lambda samples: np.asarray(samples**exponent, dtype=np.float64)


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
        inner = curves or (srgb,)
        count = max(len(ranges), len(inner))
        curves = tuple(
            _within(ranges[min(i, len(ranges) - 1)], inner[min(i, len(inner) - 1)]) for i in range(count)
        )
    if curves is not None:
        found.append(ColourSpaceStatement(" and ".join(names), curves))
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
