"""IPTC-IIM of a source, in the form in which its colour image carries it (IIM 4.2; Photoshop resources).

Left out are the data sets that describe the source's pixels or hold a preview of them.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator

from PIL import Image, TiffImagePlugin, TiffTags

IPTC_TAG = 33723  # of TIFF (XMP part 3, 3.3)
# Photoshop writes it as numbers of 32 bits, and some programs read nothing else; Pillow would keep the first.
TiffTags.TAGS_V2[IPTC_TAG] = TiffTags.TagInfo(IPTC_TAG, "IptcNaaInfo", TiffTags.LONG, 0)
_IIM_RESOURCE, _DIGEST_RESOURCE = 0x0404, 0x0425
_MARKER = 0x1C
# Image type (number of components), and previews of the object data.
_STALE = {(2, 130), (2, 200), (2, 201), (2, 202)}
_STALE_RECORDS = {3, 7, 8, 9}  # pixel layout, and the object data itself
_PNG_TEXT = "Raw profile type iptc"
# Carried in fields of their own: IIM, its digest, EXIF, XMP, ICC profile and resolution.
_CARRIED_ELSEWHERE = {_IIM_RESOURCE, _DIGEST_RESOURCE, 0x0422, 0x0423, 0x0424, 0x040F, 0x03ED}
_LARGEST_SEGMENT = 65_533


def read_iptc(image: Image.Image) -> bytes | None:
    """The IIM data of a JPEG, TIFF or PNG as it is in the file; None without any."""
    resources = image.info.get("photoshop")
    if isinstance(resources, dict) and isinstance(data := resources.get(_IIM_RESOURCE), bytes):
        return data or None
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return _of_tag(image.tag_v2.get(IPTC_TAG), image.tag_v2.prefix)
    text = image.info.get(_PNG_TEXT)
    return _of_text(text) if isinstance(text, str) else None


def _of_tag(value: object, prefix: bytes) -> bytes | None:
    """The tag's bytes, of whatever type it is."""
    if isinstance(value, tuple) and len(value) == 1 and isinstance(value[0], bytes):
        (value,) = value
    if isinstance(value, tuple) and all(isinstance(v, int) and 0 <= v < 2**32 for v in value):
        value = struct.pack(f"{'<' if prefix == b'II' else '>'}{len(value)}L", *value)
    if isinstance(value, bytes) and value and value[0] != _MARKER and value[3:4] == bytes([_MARKER]):
        usable = value[: len(value) // 4 * 4]
        value = struct.pack(f"<{len(usable) // 4}L", *struct.unpack(f">{len(usable) // 4}L", usable))
    return value if isinstance(value, bytes) and value else None


def _of_text(text: str) -> bytes | None:
    """ImageMagick's text chunk: a name, a length, lines of hexadecimal digits; often a Photoshop resource."""
    words = text.split()
    try:
        data = bytes.fromhex("".join(words[2:]))
    except ValueError:
        return text.encode("utf-8", "replace")  # not sound: `carried_iptc` says so
    if data.startswith(b"8BIM"):
        at = data.find(struct.pack(">4sH", b"8BIM", _IIM_RESOURCE))
        size = int.from_bytes(data[at + 8 : at + 12], "big") if at >= 0 else 0
        data = data[at + 12 : at + 12 + size]
    return data or None


def carried_iptc(data: bytes | None) -> tuple[bytes | None, list[str]]:
    """The data sets that a result carries, byte for byte, and what was left out, for the ledger."""
    if data is None:
        return None, []
    kept, dropped = [], []
    try:
        for record, number, raw in _data_sets(data):
            if (record, number) in _STALE or record in _STALE_RECORDS:
                dropped.append(f"{record}:{number:02d}")
            else:
                kept.append(raw)
    except ValueError as error:
        return None, [f"iptc: {error}, left out"]
    changes = []
    if dropped:
        names = ", ".join(dict.fromkeys(dropped))
        changes.append(f"iptc: {names} left out, they described the source's pixels")
    return b"".join(kept) or None, changes


def _data_sets(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(record, number, all bytes) of each data set (IIM 4.2, 1.5). Raises ValueError for nonsense."""
    at = 0
    while at < len(data) and any(data[at:]):  # zeros at the end fill up a 32-bit word
        if len(data) < at + 5 or data[at] != _MARKER:
            raise ValueError("did not parse")
        size, begin = int.from_bytes(data[at + 3 : at + 5], "big"), at + 5
        if size & 0x8000:  # extended: the length has a length
            width = size & 0x7FFF
            if width > 4:
                raise ValueError("did not parse")
            size, begin = int.from_bytes(data[begin : begin + width], "big"), begin + width
        if begin + size > len(data):
            raise ValueError("was cut short")
        yield data[at + 1], data[at + 2], data[at : begin + size]
        at = begin + size


def tiff_words(iptc: bytes) -> tuple[int, ...]:
    """The tag's value in a little-endian TIFF, filled up with zeros to whole numbers of 32 bits."""
    padded = iptc + bytes(-len(iptc) % 4)
    return struct.unpack(f"<{len(padded) // 4}L", padded)


def photoshop_segment(iptc: bytes) -> bytes:
    """APP13 for a JPEG: the IIM data with its MD5, by which readers know whether XMP has been edited since.

    Raises ValueError where one segment cannot hold it.
    """
    resources = _resource(_IIM_RESOURCE, iptc) + _resource(_DIGEST_RESOURCE, hashlib.md5(iptc).digest())
    content = b"Photoshop 3.0\x00" + resources
    if len(content) > _LARGEST_SEGMENT:
        raise ValueError("over 64 KB")
    return b"\xff\xed" + struct.pack(">H", len(content) + 2) + content


def _resource(number: int, data: bytes) -> bytes:
    return struct.pack(">4sHHL", b"8BIM", number, 0, len(data)) + data + bytes(len(data) % 2)


def png_text(iptc: bytes) -> tuple[str, str]:
    """Keyword and text of the chunk in which ImageMagick and exiftool keep IIM data in a PNG."""
    digits = iptc.hex()
    lines = [digits[at : at + 72] for at in range(0, len(digits), 72)]
    return _PNG_TEXT, "\n".join(["", "iptc", f"{len(iptc):8d}", *lines, ""])


def other_resources(image: Image.Image) -> list[str]:
    """Photoshop image resources of a JPEG that no result carries, for the ledger."""
    resources = image.info.get("photoshop")
    numbers = [n for n in resources if n not in _CARRIED_ELSEWHERE] if isinstance(resources, dict) else []
    if not numbers:
        return []
    names = ", ".join(f"0x{number:04X}" for number in sorted(numbers)[:12])
    return [f"photoshop: image resources {names} left out"]
