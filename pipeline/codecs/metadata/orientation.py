"""The orientation of a picture: from EXIF, or else from XMP (XMP part 2, tiff:Orientation).

Pillow looks for both, but handles fewer forms of XMP and does not record which one it used.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from PIL import ExifTags, Image, TiffImagePlugin

_TIFF_NAMESPACE = "http://ns.adobe.com/tiff/1.0/"
_PREFIX = re.compile(rf"xmlns:([\w.-]+)\s*=\s*[\"']{re.escape(_TIFF_NAMESPACE)}[\"']")
_TURNED = "original_orientation"  # the name that pillow_heif uses, for the same reason
_SOURCE = "fiat_orientation_source"
_LARGEST = 4 * 2**20  # bytes of a packet that is looked at; real ones stay far below


class Orientation(NamedTuple):
    """1 to 8 (EXIF 3.0, 4.6.5.1.6), and where it was read: exif or xmp."""

    value: int
    source: str = "exif"


UPRIGHT = Orientation(1)


def settled(exif_value: Any, xmp: bytes | str | None) -> Orientation:
    """The orientation: EXIF's value if valid, else that of the XMP packet, else upright."""
    if isinstance(exif_value, int) and 1 <= exif_value <= 8:
        return Orientation(exif_value)
    value = in_xmp(xmp)
    return UPRIGHT if value is None else Orientation(value, "xmp")


def in_xmp(packet: bytes | str | None) -> int | None:
    """tiff:Orientation of a packet, as attribute or element, in any of its encodings; None without."""
    if not packet or len(packet) > _LARGEST:
        return None
    text = packet if isinstance(packet, str) else _decoded(packet)
    for prefix in {*_PREFIX.findall(text), "tiff"}:
        name = rf"(?<![\w:.-]){re.escape(prefix)}:Orientation"
        match = re.search(rf"{name}\s*(?:=\s*[\"']|>)\s*([1-8])\s*[\"'<]", text)
        if match:
            return int(match[1])
    return None


def _decoded(packet: bytes) -> str:
    """UTF-8, UTF-16 or UTF-32 (XMP part 1, 7.3.2), by where its zeros are."""
    head = packet[:4]
    if b"\x00" not in packet[:64]:
        return packet.decode("utf-8", "replace")
    wide = 4 if head[:3] == b"\x00\x00\x00" or head[1:4] == b"\x00\x00\x00" or head == b"\xff\xfe\0\0" else 2
    big = head[:1] == b"\x00" or head[:2] == b"\xfe\xff"
    return packet.decode(f"utf-{8 * wide}-{'be' if big else 'le'}", "replace")


def of_image(image: Image.Image) -> Orientation:
    """Of an opened picture; of one that a library has turned already, what it was."""
    if _TURNED in image.info and isinstance(turned := image.info[_TURNED], int):
        return Orientation(turned, image.info.get(_SOURCE, "exif"))
    xmp = image.info.get("XML:com.adobe.xmp") or image.info.get("xmp")
    return settled(exif_value(image), xmp if isinstance(xmp, bytes | str) else None)


def exif_value(image: Image.Image) -> Any:
    """What EXIF itself says, sound or not; None where it says nothing."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return image.tag_v2.get(ExifTags.Base.Orientation)
    image.getexif()  # a PNG's is found by loading it
    block = image.info.get("exif")
    if not isinstance(block, bytes) and "Raw profile type exif" not in image.info:
        return None
    own = Image.Exif()
    if isinstance(block, bytes):
        own.load(block)
    else:
        own.load(bytes.fromhex("".join(image.info["Raw profile type exif"].split("\n")[3:])))
    return own.get(ExifTags.Base.Orientation)


def note(image: TiffImagePlugin.TiffImageFile) -> Orientation:
    """Of a TIFF that is to be loaded: Pillow turns its pixels by EXIF, and forgets it; not by XMP, if the
    packet is not there to be seen."""
    orientation = of_image(image)
    image.info[_TURNED], image.info[_SOURCE] = orientation
    image.info.pop("xmp", None)
    return orientation
