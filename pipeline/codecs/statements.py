"""What containers other than TIFF state about the light of their samples: PNG, JP2, HEIF and AVIF, BMP."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from pipeline.codecs.sample_light import ColourSpaceStatement, Curve, Statement, power, srgb
from pipeline.color.light import primaries_to_linear_srgb
from pipeline.errors import FailureCode, ImageFailure

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
_UNSPECIFIED, _HIGH_RANGE = 2, {16: "PQ", 18: "HLG"}  # transfers of H.273
_BMP_V4, _BMP_V5, _LEAST_GAMMA = 108, 124, 0.1
#: gAMA and cHRM that PNG prescribes beside an sRGB chunk (11.3.2.5): alone they still mean sRGB.
_SRGB_GAMMA = 45_455
_SRGB_CHRM = (31_270, 32_900, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000)
_ENUMERATED, _ICC_METHODS, _SRGB_SPACE, _GRAY_SPACE, _YCC_SPACE, _ROMM_SPACE = 1, (2, 3), 16, 17, 18, 21
_ROMM_XY = np.array([(0.3457, 0.3585), (0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001)])


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
        said.append(ColourSpaceStatement("sRGB chunk"))
    said.append(_gama(found.get(b"gAMA", b""), found.get(b"cHRM", b"")))
    if len(code) == 4 and not any(one is not None for one in said):
        refuse_high_range(code[1])
    return [one for one in said if one is not None]


def _gama(gama: bytes, chrm: bytes) -> ColourSpaceStatement | None:
    gamma = int.from_bytes(gama, "big") if len(gama) == 4 else 0
    stated = struct.unpack(">8L", chrm) if len(chrm) == 32 else None
    matrix = None
    if stated is not None and stated != _SRGB_CHRM:
        matrix = primaries_to_linear_srgb(np.array(stated).reshape(4, 2) / 100_000)
    if not gamma and matrix is None:
        return None
    if gamma in (0, _SRGB_GAMMA) and matrix is None:
        return ColourSpaceStatement("gAMA and cHRM of sRGB")
    name = f"gAMA {gamma / 100_000:g}" if gamma else "cHRM"
    curve: Curve = srgb if gamma in (0, _SRGB_GAMMA) else power(100_000 / gamma)
    return ColourSpaceStatement(name, (curve,), matrix)


def cicp(primaries: int, transfer: int, matrix: int, full_range: int) -> ColourSpaceStatement | None:
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
        return ColourSpaceStatement(name)
    return ColourSpaceStatement(name, (curve,), of_xy)


def _transfer(code: int) -> Curve | None:
    """ITU-T H.273, table 3, from samples to light."""
    if code == 13:
        return srgb
    if code in (4, 5, 8):
        return power({4: 2.2, 5: 2.8, 8: 1.0}[code])
    if code in (1, 6, 14, 15):
        alpha, beta = 1.09929682680944, 0.018053968510807
        return lambda v: np.where(v < 4.5 * beta, v / 4.5, ((v + alpha - 1) / alpha) ** (1 / 0.45))
    if code == 7:
        return lambda v: np.where(v < 4 * 0.0228, v / 4, ((v + 0.1115) / 1.1115) ** (1 / 0.45))
    return None


def isobmff_statements(icc: bytes | None, nclx: tuple[int, int] | None) -> list[Statement]:
    """What a HEIF or AVIF says: a profile, then `nclx`, primaries and transfer; unspecified is sRGB (MIAF).

    Raises:
        ImageFailure: UNSUPPORTED where the transfer is one of high dynamic range, and there is no profile.
    """
    if icc is not None or nclx is None:
        return [icc] if icc is not None else []
    refuse_high_range(nclx[1])
    primaries, transfer = (
        given if given != _UNSPECIFIED else default for given, default in zip(nclx, (1, 13), strict=True)
    )
    said = cicp(primaries, transfer, 0, 1)
    return [] if said is None else [replace(said, name=said.name.replace("cICP", "nclx"))]


def refuse_high_range(transfer: int) -> None:
    """Raise ImageFailure UNSUPPORTED for a transfer of high dynamic range: its white is no paper's white."""
    if transfer in _HIGH_RANGE:
        raise ImageFailure(
            FailureCode.UNSUPPORTED,
            f"a picture of high dynamic range ({_HIGH_RANGE[transfer]}) is not supported; convert it to sRGB",
        )


def bmp_statements(data: bytes, notes: list[str]) -> list[Statement]:
    """What the header of a BMP says of its samples, from version 4 on; a note on a profile that is elsewhere.

    A gamma of 1 and more is taken as the exponent that decodes, a smaller one as that which encodes.
    """
    size = int.from_bytes(data[14:18], "little")
    if size < _BMP_V4 or len(data) < 14 + size:
        return []
    space = data[70:74]
    if space == b"DEBM" and size >= _BMP_V5:  # "MBED", little-endian as all of it
        start, length = struct.unpack_from("<2L", data, 126)
        return [data[14 + start : 14 + start + length]] if length and start >= size else []
    if space == b"KNIL":
        notes.append("its colour profile is in another file: sRGB was assumed")
    if space != bytes(4):
        return []
    ends = np.array(struct.unpack_from("<9l", data, 74), np.float64).reshape(3, 3)
    gammas = np.array(struct.unpack_from("<3L", data, 110)) / 65536
    matrix = None
    if (ends >= 0).all() and (ends.sum(axis=1) > 0).all():
        xy = np.vstack([_D65, ends[:, :2] / ends.sum(axis=1, keepdims=True)])
        matrix = None if np.allclose(xy, _SRGB_XY, atol=2e-3) else primaries_to_linear_srgb(xy)
    curves: tuple[Curve, ...] | None = None
    if (gammas > _LEAST_GAMMA).all() and (gammas < 1 / _LEAST_GAMMA).all():
        curves = tuple(power(float(gamma if gamma >= 1 else 1 / gamma)) for gamma in gammas)
    if matrix is None and curves is None:
        return []
    name = (
        "BMP header's gamma " + "/".join(f"{gamma:g}" for gamma in np.unique(gammas))
        if curves
        else "BMP primaries"
    )
    return [ColourSpaceStatement(name, curves or (srgb,), matrix)]


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
                found.append(ColourSpaceStatement(f"colr box, space {space}"))
            elif space == _ROMM_SPACE:  # ISO 22028-2
                curve: Curve = lambda v: np.where(v < 16 / 512, v / 16, v**1.8)  # noqa: E731
                matrix = primaries_to_linear_srgb(_ROMM_XY)
                found.append(ColourSpaceStatement(f"colr box, space {space}", (curve,), matrix))
    return found
