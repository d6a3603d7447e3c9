"""JPEG 2000 Part 1 (ITU-T T.800, ISO/IEC 15444-1): one lossless tile of 8 or 16 bits in a JP2 file.

OpenJPEG codes the samples; what the file says about them is put into boxes here, because no library in use
writes them all: profile, resolution, the meaning of the fourth channel, EXIF, IPTC-IIM and XMP. EXIF and
IPTC have no box in the standard: theirs are those of exiftool and Photoshop.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

_EXIF_UUID = b"JpgTiffExif->JP2"
_IPTC_UUID = bytes.fromhex("33C7A4D2B81D4723A0BAF1A3E097AD38")
_XMP_UUID = bytes.fromhex("BE7ACFCB97A942E89C71999491E3AFAC")  # XMP part 3, 1.1.4
_EXIF_HEAD = b"Exif\x00\x00"
_ENUMERATED, _RESTRICTED_ICC, _SRGB = 1, 2, 16
_COLOUR, _OPACITY, _WHOLE_IMAGE = 0, 1, 0
_INCHES_PER_METRE = Fraction(10_000, 254)


def jp2_bytes(
    pixels: NDArray[Any],
    *,
    icc: bytes | None = None,
    xmp: bytes | None = None,
    exif: bytes | None = None,
    iptc: bytes | None = None,
    dpi: tuple[float, float] | None = None,
) -> bytes:
    """A JP2 file that decodes to the same samples; the same arguments give the same bytes.

    Args:
        pixels: uint8 or uint16 [H,W,3], or [H,W,4] with opacity that is not premultiplied.
        icc: RGB profile; None for sRGB, which the file states by its number.
        exif: with its `Exif` header or without.
        dpi: pixels per inch in x and y, 1 to 50,000.

    Raises:
        RuntimeError: OpenJPEG cannot code it.
    """
    from imagecodecs import jpeg2k_encode  # 45 MB of libraries, for the runs that write this format

    coded = jpeg2k_encode(np.ascontiguousarray(pixels), level=0, codecformat="jp2", reversible=True)
    parts = []
    for kind, content in boxes(bytes(coded)):
        if kind == b"jp2h":
            content = _header(content, icc, dpi, opacity=pixels.shape[2] == 4)
        parts.append(box(kind, content))
        if kind == b"jp2h":  # before the codestream: readers of metadata need not pass over it
            parts += _said(exif, iptc, xmp)
    return b"".join(parts)


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Type and content of each box (T.800, I.4). Raises ValueError where one does not fit into the data."""
    at = 0
    while at < len(data):
        length, begin = int.from_bytes(data[at : at + 4], "big"), at + 8
        if length == 1:
            length, begin = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        end = len(data) if length == 0 else at + length
        if not begin <= end <= len(data):
            raise ValueError("a box of the JP2 file ends outside it")
        yield data[at + 4 : at + 8], data[begin:end]
        at = end


def box(kind: bytes, content: bytes) -> bytes:
    """One box, with a length of 64 bits only where it needs it."""
    if len(content) + 8 < 2**32:
        return struct.pack(">L4s", len(content) + 8, kind) + content
    return struct.pack(">L4sQ", 1, kind, len(content) + 16) + content


def _said(exif: bytes | None, iptc: bytes | None, xmp: bytes | None) -> list[bytes]:
    """The `uuid` boxes (T.800, I.7.2) of what there is."""
    exif = None if exif is None else exif.removeprefix(_EXIF_HEAD)
    found = ((_EXIF_UUID, exif), (_IPTC_UUID, iptc), (_XMP_UUID, xmp))
    return [box(b"uuid", uuid + content) for uuid, content in found if content]


def _header(content: bytes, icc: bytes | None, dpi: tuple[float, float] | None, *, opacity: bool) -> bytes:
    """The content of `jp2h` (T.800, I.5.3) with our boxes after the image header."""
    kept = [box(kind, inner) for kind, inner in boxes(content) if kind not in (b"colr", b"cdef", b"res ")]
    colour = (
        struct.pack(">BBBL", _ENUMERATED, 0, 0, _SRGB)
        if icc is None
        else struct.pack(">BBB", _RESTRICTED_ICC, 0, 0) + icc
    )
    kept.append(box(b"colr", colour))
    if opacity:
        channels = [(index, _COLOUR, index + 1) for index in range(3)] + [(3, _OPACITY, _WHOLE_IMAGE)]
        said = b"".join(struct.pack(">HHH", *channel) for channel in channels)
        kept.append(box(b"cdef", struct.pack(">H", len(channels)) + said))
    if dpi is not None:
        (across, shift_x), (down, shift_y) = (_per_metre(value) for value in dpi)
        terms = (down.numerator, down.denominator, across.numerator, across.denominator)
        kept.append(box(b"res ", box(b"resc", struct.pack(">HHHHbb", *terms, shift_y, shift_x))))
    return b"".join(kept)


def _per_metre(dpi: float) -> tuple[Fraction, int]:
    """Pixels per metre as a fraction of numbers of 16 bits and a power of ten (T.800, I.5.3.7.1)."""
    exact = Fraction(dpi) * _INCHES_PER_METRE
    power = math.floor(math.log10(exact))
    scaled = exact / Fraction(10) ** power  # 1 to 10
    return scaled.limit_denominator(6_500), power
