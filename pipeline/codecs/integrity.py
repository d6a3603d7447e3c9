"""Detect damage that Pillow silently ignores, so that a partial picture does not pass for a complete one.

- JPEG (ITU-T T.81): libjpeg fills what is missing before an early end marker with gray, and only warns.
- PNG (W3C, third edition): checksums of image data are not verified, missing rows stay black.
- GIF (89a): an early end code leaves the rest of the frame at colour 0.
- TIFF 6.0: a strip table that ends early leaves the rest black.
"""

from __future__ import annotations

import hashlib
import io
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, JpegImagePlugin, TiffImagePlugin

from pipeline.errors import FailureCode, ImageFailure

# A marker inside entropy-coded data: neither a stuffed zero nor a restart marker (T.81, B.1.1.2 and B.1.1.5).
# Written with a byte of its own at the front, so that the search jumps from 0xFF to 0xFF.
_MARKER = re.compile(rb"\xff\xff*([\x01-\xcf\xd8-\xfe])")
_EOI = 0xD9
_FOLLOWERS = 8  # tries of what may follow image data without an end
_EOI_MARKER = b"\xff\xd9"
_SOS = 0xDA
_STANDALONE = {0x01, 0xD8, *range(0xD0, 0xD8)}
_FRAME = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
# All ones is no Huffman code (T.81, C.2). Each missing symbol eats 16 bits of it: it cannot feign one MCU.
_PADDING = b"\xff\x00" * 12
# Encoders leave a byte or two after the last pixel; desynchronised data leaves any number.
_TAIL = 16
_PLANAR_CONFIGURATION_TAG = 284
_J2K_START = b"\xff\x4f\xff\x51"  # SOC, then SIZ


@dataclass
class JpegStructure:
    """What the markers of a JPEG say: frame type, sample depth, the scans as (components, Ss, Se, Ah, Al)."""

    frame: int = 0
    precision: int = 8
    components: bytes = b""
    scans: list[tuple[bytes, int, int, int, int]] = field(default_factory=list)
    data: int = 0  # offset of the image data of the last scan
    end: int | None = None  # offset of the end marker of the first image


def scan_jpeg(data: bytes) -> JpegStructure:
    """Walk the markers of the first image in `data`; stops where they make no sense."""
    jpeg = JpegStructure()
    position = 2
    while (match := _MARKER.search(data, position)) is not None:
        marker, position = match[1][0], match.end()
        if marker == _EOI:
            jpeg.end = match.end() - 2
            return jpeg
        if marker in _STANDALONE:
            continue
        length = int.from_bytes(data[position : position + 2], "big")
        body = data[position + 2 : position + length]
        position += max(length, 2)
        if marker in _FRAME and len(body) >= 6 and not jpeg.frame:
            jpeg.frame, jpeg.precision = marker, body[0]
            jpeg.components = body[6 : 6 + 3 * body[5] : 3]
        elif marker == _SOS and body and len(body) >= 1 + 2 * body[0] + 3:
            count = body[0]
            start, end, bits = body[1 + 2 * count : 4 + 2 * count]
            jpeg.data = position
            jpeg.scans.append((body[1 : 1 + 2 * count : 2], start, end, bits >> 4, bits & 15))
    return jpeg


class JpegStream(io.BytesIO):
    """A JPEG stream that records whether the decoder read the last bytes of its image data."""

    def __init__(self, data: bytes, tail: int | None) -> None:
        super().__init__(data)
        self._tail = tail
        self._tail_read = False

    def read(self, size: int | None = -1, /) -> bytes:
        """Read like any stream, but no read crosses the start of the tail."""
        before = 0 if self._tail is None else self._tail - self.tell()
        if before > 0 and (size is None or size < 0 or size > before):
            return super().read(before)
        self._tail_read |= self._tail is not None and before <= 0
        return super().read(size)

    def check_read_to_end(self) -> None:
        """Raises ImageFailure CORRUPT if the picture was complete before the end of its data."""
        if self._tail is None or self._tail_read:
            return
        tail = self.getvalue()[self._tail : -len(_PADDING)]
        if len(set(tail)) > 1:  # some cameras fill up with one value
            message = "image data is left over after the last pixel: the file is damaged in the middle"
            raise ImageFailure(FailureCode.CORRUPT, f"the JPEG's {message}")


def checkable_jpeg(data: bytes, notes: list[str] | None = None) -> JpegStream:
    """The JPEG as a stream whose decoding fails if image data is missing or left over.

    A sequential JPEG of one scan gets bits that are no code in place of its end marker: a whole picture never
    needs them, a cut one runs out of data, which Pillow reports. In others all scans must be there.

    Raises:
        ImageFailure: UNSUPPORTED for more than 8 bits and for hierarchical or lossless arithmetic coding;
            TRUNCATED for missing scans or a missing end.
    """
    jpeg = scan_jpeg(data)
    if jpeg.frame and jpeg.frame not in (0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xCA):
        raise ImageFailure(FailureCode.UNSUPPORTED, "hierarchical JPEG is not supported; convert it")
    if jpeg.frame and jpeg.precision in (12, 16):
        raise ImageFailure(
            FailureCode.UNSUPPORTED,
            f"a JPEG of {jpeg.precision} bits per sample is not supported; "
            "convert it to a 16-bit TIFF or PNG",
        )
    sequential = (
        len(jpeg.scans) == 1
        and jpeg.frame in (0xC0, 0xC1, 0xC3)
        and len(jpeg.scans[0][0]) == len(jpeg.components)
    )
    missing = None if sequential else _missing_scans(jpeg)
    end = jpeg.end
    if end is None and not missing and _is_whole(data, jpeg):
        end = len(data) - data.endswith(b"\xff")
        data = data[:end] + _EOI_MARKER
        if notes is not None:
            notes.append("its end marker was missing, but its image data is complete")
    if end is None:
        raise ImageFailure(
            FailureCode.TRUNCATED, "the JPEG ends before its end marker: the file was cut short"
        )
    if sequential:
        tail = end - _TAIL
        return JpegStream(data[:end] + _PADDING, tail if tail > jpeg.data else None)
    if missing:
        raise ImageFailure(FailureCode.TRUNCATED, f"the JPEG ends before {missing}: the file was cut short")
    return JpegStream(data, None)


def _is_whole(data: bytes, jpeg: JpegStructure) -> bool:
    """Whether a JPEG lacks only its end marker: its picture then does not depend on what follows.

    If a single bit of it were missing, the first of those that follow would be taken for it.
    """
    if not jpeg.scans or jpeg.data >= len(data):
        return False
    start = data[: len(data) - data.endswith(b"\xff")]
    followers = np.random.default_rng(0).integers(0, 0xFF, (_FOLLOWERS, 64), np.uint8)  # no FFh, no marker
    first = None
    for follower in followers:
        try:
            with JpegImagePlugin.JpegImageFile(io.BytesIO(start + follower.tobytes() + _EOI_MARKER)) as image:
                picture = hashlib.sha256(image.tobytes()).digest()
        except (OSError, ValueError, SyntaxError):
            return False
        if first not in (None, picture):
            return False
        first = picture
    return True


def _missing_scans(jpeg: JpegStructure) -> str | None:
    """What is not there: in a progressive JPEG the lowest bit (Al = 0) of each coefficient must be."""
    for component in jpeg.components:
        scans = [scan for scan in jpeg.scans if component in scan[0]]
        if not scans:
            return "the data of all its components"
        if jpeg.frame in (0xC2, 0xCA):
            final = {k for _, start, end, _, low in scans if low == 0 for k in range(start, end + 1)}
            if len(final & set(range(64))) < 64:
                return "its last scans"
    return None


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(type, content) of each chunk up to IEND.

    Raises:
        ImageFailure: TRUNCATED where the file ends before IEND; CORRUPT for a critical chunk (its type
            begins with a capital) whose checksum is wrong.
    """
    position, view = 8, memoryview(data)
    while True:
        length = int.from_bytes(view[position : position + 4], "big")
        kind = bytes(view[position + 4 : position + 8])
        end = position + 12 + length
        if end > len(data):
            raise ImageFailure(
                FailureCode.TRUNCATED,
                f"the PNG ends inside its {_printable(kind)} chunk: the file was cut short",
            )
        content = view[position + 8 : end - 4]
        if kind[:1].isupper() and zlib.crc32(content, zlib.crc32(kind)) != int.from_bytes(
            view[end - 4 : end], "big"
        ):
            raise ImageFailure(
                FailureCode.CORRUPT,
                f"the checksum of a {_printable(kind)} chunk is wrong: the file is damaged",
            )
        yield kind, bytes(content) if kind != b"IDAT" else b""
        if kind == b"IEND":
            return
        position = end


def png_parts(data: bytes) -> list[bytes]:
    """The whole chunks of a sound PNG, each with its length and checksum."""
    parts, position = [], 8
    while position < len(data):
        end = position + 12 + int.from_bytes(data[position : position + 4], "big")
        parts.append(data[position:end])
        position = end
    return parts


def check_png(data: bytes) -> int:
    """Walk all chunks of a PNG; its bits per sample. Raises ImageFailure as `png_chunks`."""
    bits = 8
    for kind, content in png_chunks(data):
        if kind == b"IHDR":
            bits = content[8]
    return bits


def check_tiff(data: bytes) -> None:
    """Raises ImageFailure TRUNCATED if the first directory (often written last) is after the file's end."""
    order = "little" if data[:2] == b"II" else "big"
    big = data[2:4] in (b"+\x00", b"\x00+")
    start = int.from_bytes(data[8:16] if big else data[4:8], order)  # type: ignore[arg-type]
    if start + 2 > len(data):
        raise ImageFailure(
            FailureCode.TRUNCATED,
            f"the TIFF's directory is at {start:,} and the file ends at {len(data):,}: it was cut short",
        )


def jpeg2000_bits(data: bytes) -> int:
    """Bits per sample of the first component, by the codestream's SIZ (ITU-T T.800, A.5.1); 8 without it."""
    start = data.find(_J2K_START)
    return (data[start + 42] & 0x7F) + 1 if 0 <= start < len(data) - 42 else 8


def avif_bits(data: bytes) -> int:
    """Bits per sample by the first av1C box (AV1-ISOBMFF 2.3.3: high_bitdepth, twelve_bit); 8 without it."""
    box = data.find(b"av1C")
    flags = data[box + 6] if 0 <= box < len(data) - 6 else 0
    return (12 if flags & 0x20 else 10) if flags & 0x40 else 8


def check_strips(image: ImageFile.ImageFile) -> None:
    """Find a TIFF whose table of strips ends early: Pillow leaves the rest black. Before loading."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile) or any(tile[0] != "raw" for tile in image.tile):
        return
    if not image.tile:  # pixels that Pillow cannot hold, which libvips decodes and checks
        return
    planes = len(image.getbands()) if image.tag_v2.get(_PLANAR_CONFIGURATION_TAG, 1) == 2 else 1
    covered = 0
    for left, top, right, bottom in (tile[1] or (0, 0, *image.size) for tile in image.tile):
        covered += (right - left) * (bottom - top)
    if covered < image.width * image.height * planes:
        raise ImageFailure(FailureCode.TRUNCATED, "the TIFF holds fewer strips than its height needs")


def check_rows(image: ImageFile.ImageFile, again: ImageFile.ImageFile, box: tuple[int, ...]) -> None:
    """Find rows that the decoder never reached: they keep the initial value of the memory.

    Decoders go from top to bottom (Adam7's last pass is every other row), so the last two rows of `box`, the
    part of the canvas that the file draws, tell. Only where one of them is all zero is it decoded once more,
    from `again`, the same file opened but not loaded, over another filling.
    """
    tail = _last_rows(image, box)
    if all(row.any() for row in tail):
        return
    bands = len(again.getbands())
    ink = 255 if bands == 1 else (255,) * bands
    again.im = cast(Any, Image).core.fill(again.mode, again.size, ink)
    again.load()
    if not np.array_equal(tail, _last_rows(again, box)):
        raise ImageFailure(FailureCode.TRUNCATED, f"the {image.format} holds fewer rows than its header says")


def _last_rows(image: Image.Image, box: tuple[int, ...]) -> NDArray[np.uint8]:
    left, top, right, bottom = box
    return np.asarray(image.crop((left, max(bottom - 2, top), right, bottom))).astype(np.uint8)


def _printable(kind: bytes) -> str:
    return kind.decode("ascii", "replace") if kind.isalpha() else "next"
