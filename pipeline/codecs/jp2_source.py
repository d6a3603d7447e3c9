"""Read the metadata of a JPEG 2000, and the samples that Pillow cannot read.

Boxes of JP2 (ITU-T T.800, annex I): `colr`, `cdef`, `pclr`, `cmap`; SIZ of the codestream (A.5.1). Pillow
reads 8 bits of gray and RGB; of more bits in colour, of CMYK and palettes, OpenJPEG gives the samples here.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.codecs.jp2 import boxes
from pipeline.codecs.metadata.profiles import is_cmyk
from pipeline.codecs.sample_light import Statement
from pipeline.codecs.statements import jp2_statements
from pipeline.errors import FailureCode, ImageFailure

U8 = NDArray[np.uint8]
Levels = NDArray[Any]  # uint8 or uint16

_START = b"\xff\x4f\xff\x51"  # SOC, then SIZ
_END, _TAIL = b"\xff\xd9", 65_536  # EOC, followed only by metadata boxes
_ENUMERATED, _ICC_METHODS, _CMYK_SPACE, _YCC_SPACE = 1, (2, 3), 12, 18
_OPACITY = (1, 2)  # of a channel definition: as it is, premultiplied
_COLOUR, _PREMULTIPLIED = 0, 2


@dataclass(frozen=True)
class Jp2Source:
    """A JPEG 2000: `bits` of its deepest component, components, and what its boxes say.

    cdef: (channel, type, association) of each channel definition; icc: the profile, whatever it is for;
    palette: uint8 or uint16[entries, channels] of one component, in the order of its channels.
    """

    bits: int
    components: int
    is_signed: bool
    is_subsampled: bool
    cdef: tuple[tuple[int, int, int], ...]
    statements: tuple[Statement, ...]
    icc: bytes | None
    is_cmyk: bool
    is_ycc: bool
    palette: Levels | None = None

    @property
    def alpha(self) -> int | None:
        """The index of the opacity channel."""
        return next((channel for channel, kind, _ in self.cdef if kind in _OPACITY), None)

    @property
    def order(self) -> tuple[int, ...]:
        """The channels of the first, second and third colour, where they are defined in another order."""
        colours = {at: channel for channel, kind, at in self.cdef if kind == _COLOUR and 1 <= at <= 3}
        order = tuple(colours[at] for at in (1, 2, 3)) if len(colours) == 3 else ()
        return order if order != (0, 1, 2) else ()

    @property
    def is_plain(self) -> bool:
        """Whether Pillow reads it: 8 bits of gray or RGB, or 16 of gray, without a palette."""
        return (
            not self.is_cmyk
            and self.palette is None
            and not self.order
            and (self.bits <= 8 or self.components == 1)
        )


def read_boxes(data: bytes) -> Jp2Source:
    """Read the file's boxes; invalid boxes are ignored."""
    header = list(_header(data))
    start = data.find(_START)
    count = int.from_bytes(data[start + 40 : start + 42], "big") if start >= 0 else 0
    sizes = data[start + 42 : start + 42 + 3 * count] if start >= 0 else b""
    cdef: list[tuple[int, int, int]] = []
    icc, cmyk, ycc = None, False, False
    for kind, content in header:
        if kind == b"cdef":
            entries = [content[at : at + 6] for at in range(2, len(content) - 5, 6)]
            cdef += [
                (words[0], words[1], words[2]) for words in (struct.unpack(">3H", one) for one in entries)
            ]
        elif kind == b"colr" and content[:1] == bytes([_ENUMERATED]):
            cmyk |= int.from_bytes(content[3:7], "big") == _CMYK_SPACE
            ycc |= int.from_bytes(content[3:7], "big") == _YCC_SPACE
        elif kind == b"colr" and content[:1] and content[0] in _ICC_METHODS and icc is None:
            icc = content[3:]
            cmyk |= is_cmyk(icc)
    return Jp2Source(
        bits=max((size & 0x7F for size in sizes[::3]), default=7) + 1,
        components=count,
        is_signed=any(size & 0x80 for size in sizes[::3]),
        is_subsampled=any(size != 1 for at, size in enumerate(sizes) if at % 3),
        cdef=tuple(cdef),
        statements=tuple(jp2_statements(header)),
        icc=icc,
        is_cmyk=cmyk,
        is_ycc=ycc,
        palette=_palette(dict(header)) if count == 1 else None,
    )


def _three(entry: bytes) -> tuple[int, int, int]:
    channel, kind, at = struct.unpack(">3H", entry)
    return channel, kind, at


def _palette(header: dict[bytes, bytes]) -> Levels | None:
    """The palette (T.800, I.5.3.4) in the order of its component mapping (I.5.3.5); None where there is none.

    Pillow merges equal entries, so that all following ones shift.
    """
    pclr, cmap = header.get(b"pclr", b""), header.get(b"cmap", b"")
    if len(pclr) < 3 or not cmap:
        return None
    entries, channels = struct.unpack_from(">HB", pclr)
    depths, at = pclr[3 : 3 + channels], 3 + channels
    wide = 1 if max(depths, default=7) < 8 else 2
    values = np.frombuffer(pclr[at : at + entries * channels * wide], ">u1" if wide == 1 else ">u2")
    if values.size != entries * channels or any(depth not in (7, 15) for depth in depths):
        raise _unsupported("a JPEG 2000 with a palette of other depths than 8 and 16 bits")
    columns = [cmap[place + 3] for place in range(0, len(cmap) - 3, 4) if cmap[place + 2] == 1]
    if not columns or max(columns) >= channels or len(set(depths)) > 1:
        raise _unsupported("a JPEG 2000 with a palette that is mapped otherwise")
    return values.reshape(entries, channels)[:, columns].astype(np.uint8 if wide == 1 else np.uint16)


def _header(data: bytes) -> list[tuple[bytes, bytes]]:
    """The boxes of the `jp2h` box, which stands before the codestream."""
    found: list[tuple[bytes, bytes]] = []
    try:
        for kind, content in boxes(data) if not data.startswith(_START) else ():
            if kind == b"jp2h":
                found.extend(boxes(content))
                break
    except ValueError:
        pass  # a file that is cut short: the decoder finds out
    return found


def read_samples(data: bytes, source: Jp2Source) -> tuple[Levels, Levels | None]:
    """Samples [H,W], [H,W,3] or, for CMYK, [H,W,4] with 0 for no ink, and alpha [H,W], uint8 or uint16.

    Raises:
        ImageFailure: UNSUPPORTED for other channels and depths, CORRUPT or TRUNCATED for damage.
    """
    if source.bits > 16 or source.is_signed or source.is_subsampled or (source.is_ycc and source.bits > 8):
        raise _unsupported(f"a JPEG 2000 of {source.bits} bits with signed or subsampled components")
    array = _decoded(data)
    bits = source.bits
    if source.palette is not None:
        array = source.palette[np.minimum(array[..., 0], len(source.palette) - 1)]
        bits = 8 * array.itemsize
    alpha_at = source.alpha
    colours = 4 if source.is_cmyk else 3 if array.shape[2] >= 3 else 1
    if alpha_at is None and not source.cdef and array.shape[2] == colours + 1 and not source.is_cmyk:
        alpha_at = colours  # without a definition the channel behind the colours, as Pillow has it
    if array.shape[2] < colours:
        raise _unsupported(f"a JPEG 2000 of {array.shape[2]} channels")
    most = 2**bits - 1
    full = 255 if bits <= 8 else 65535
    if most != full:
        array = np.rint(array * np.float32(full / most)).astype(array.dtype)
    kept = [index for index in range(array.shape[2]) if index != alpha_at][:colours]
    kept = (
        list(source.order) if colours == 3 and source.order and max(source.order) < array.shape[2] else kept
    )
    samples = np.ascontiguousarray(array[..., kept[0]] if colours == 1 else array[..., kept])
    if alpha_at is None or alpha_at >= array.shape[2]:
        return samples, None
    cover = array[..., alpha_at]
    alpha = np.ascontiguousarray(cover)
    if any(kind == _PREMULTIPLIED for _, kind, _ in source.cdef) and alpha.any():
        share = np.maximum(cover, 1)[..., None] if samples.ndim == 3 else np.maximum(cover, 1)
        samples = np.clip(np.rint(samples / (share / np.float32(full))), 0, full).astype(samples.dtype)
    return samples, None if alpha.min() == full else alpha


def _decoded(data: bytes) -> Levels:
    """[H,W,components] as they are coded: of the codestream alone, for with its boxes the decoder would apply
    some profiles itself."""
    from imagecodecs import jpeg2k_decode  # 45 MB of libraries, for the few that come

    try:
        array = np.asarray(jpeg2k_decode(data[max(data.find(_START), 0) :]))
    except (RuntimeError, ValueError) as error:
        words = " ".join(str(error).split())[:200]
        if _END not in data[-_TAIL:]:
            raise ImageFailure(FailureCode.TRUNCATED, f"the JPEG2000 is cut short: {words}") from None
        raise ImageFailure(FailureCode.CORRUPT, f"the JPEG2000 cannot be decoded: {words}") from None
    if array.dtype not in (np.uint8, np.uint16):
        raise _unsupported(f"a JPEG 2000 of {array.dtype} samples")
    return array if array.ndim == 3 else array[..., None]


def _unsupported(what: str) -> ImageFailure:
    return ImageFailure(FailureCode.UNSUPPORTED, f"{what} is not supported; convert it to TIFF")
