"""EXIF and resolution of a source, in the form in which its colour image carries them (EXIF 3.0, TIFF 6.0).

Left out are the orientation, because the pixels are turned, the thumbnail, which would still be gray, and all
that describes how the source file was laid out.
"""

from __future__ import annotations

import math
import struct
from typing import Any

from PIL import ExifTags, Image, JpegImagePlugin, TiffImagePlugin, TiffTags

# Tags of IFD 0 that say how pixels are laid out, or that hold what is carried by other ways: ICC, XMP, IPTC,
# resolution, directories. All others speak of the photograph and its scan, georeferences included.
_LAYOUT = {
    *(
        254,
        255,
        256,
        257,
        258,
        259,
        262,
        263,
        264,
        265,
        266,
        273,
        274,
        277,
        278,
        279,
        280,
        281,
        282,
        283,
        284,
    ),
    *(
        288,
        289,
        290,
        291,
        292,
        293,
        296,
        301,
        317,
        318,
        319,
        320,
        321,
        322,
        323,
        324,
        325,
        326,
        327,
        328,
        330,
    ),
    *(332, 333, 334, 336, 338, 339, 340, 341, 342, 343, 347, *range(512, 522), 529, 530, 531, 532, 700),
    *(33421, 33422, 33723, 34377, 34665, 34675, 34853, 37724, 40965),
}
_MAKER_NOTE, _INTEROPERABILITY, _COLOUR_SPACE = 0x927C, 0xA005, 0xA001
_TURNED = "original_orientation"  # the name that pillow_heif uses, for the same reason
_PIXEL_X, _PIXEL_Y = 0xA002, 0xA003
_COMPONENTS, _COMPRESSED_BITS, _YCBCR = 0x9101, 0x9102, b"\x01\x02\x03\x00"
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT, _POSITIONING = 282, 283, 296, 531
_INCH, _CENTIMETRE, _CENTERED, _SRGB, _UNCALIBRATED = 2, 3, 1, 1, 0xFFFF
# A JPEG segment holds 65,533 bytes; some room is left for its header and for what `completed` adds.
_LARGEST = 64_900
# Whatever a hostile EXIF block makes Pillow's parser and writer raise.
_UNREADABLE = (SyntaxError, OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError)
UNREADABLE = (*_UNREADABLE, struct.error, ZeroDivisionError, OverflowError, NotImplementedError, RuntimeError)

# Of type UNDEFINED by EXIF 3.0 and its GPS directory; Pillow does not know them all and would write BYTE.
_UNDEFINED = {
    ExifTags.IFD.Exif: (0x8828, 0x9101, 0x927C, 0x9286, 0xA20C, 0xA300, 0xA301, 0xA302, 0xA40B),
    ExifTags.IFD.GPSInfo: (0x001B, 0x001C),
}
for _group, _tags in _UNDEFINED.items():
    _known = TiffTags.TAGS_V2_GROUPS.setdefault(int(_group), {})
    for _tag in _tags:
        _known.setdefault(_tag, TiffTags.TagInfo(_tag, type=TiffTags.UNDEFINED, length=1))

Tags = dict[int, Any]


def orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; 1 where there is none or it makes no sense."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except UNREADABLE:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def note_orientation(image: Image.Image) -> None:
    """Keep the orientation where `carried_exif` finds it: loading turns a TIFF's pixels and forgets it."""
    image.info.setdefault(_TURNED, orientation(image))


def carried_exif(image: Image.Image, width: int, height: int) -> tuple[bytes | None, list[str]]:
    """The EXIF block (with its `Exif` header) for a result of `width` x `height`, None without any, and what
    was changed or left out, for the ledger. A block that cannot be read is left out and listed."""
    try:
        source = image.getexif()
        exif_ifd = dict(source.get_ifd(ExifTags.IFD.Exif))
        gps = dict(source.get_ifd(ExifTags.IFD.GPSInfo))
        main = {tag: source[tag] for tag in source if tag not in _LAYOUT}
        changes = _changes(image, source)
    except UNREADABLE:
        return None, ["exif: cannot be read, left out"]
    if exif_ifd.pop(_INTEROPERABILITY, None) is not None:
        changes.append("exif: interoperability directory left out")
    if exif_ifd:
        exif_ifd |= {_PIXEL_X: width, _PIXEL_Y: height}
    if not (main or exif_ifd or gps):
        return None, changes
    named = {tag: value for tag, value in main.items() if tag in ExifTags.TAGS}
    slim = {tag: value for tag, value in exif_ifd.items() if tag != _MAKER_NOTE}
    moved = ["exif: MakerNote moved, offsets inside it may not fit"] if _MAKER_NOTE in exif_ifd else []
    note = ["exif: MakerNote left out"] if moved else []
    private = ["exif: unknown tags left out"] if named != main else []
    for parts, said in (
        ((main, exif_ifd, gps), moved),
        ((named, exif_ifd, gps), [*private, *moved]),
        ((named, slim, gps), [*private, *note]),
        ((named, slim, {}), [*private, *note, "exif: GPS left out"]),
        ((named, {}, {}), ["exif: all but its main directory left out"]),
    ):
        written = _written(*parts)
        if written is not None and len(written) <= _LARGEST:
            return written, [*changes, *said]
    return None, [*changes, "exif: cannot be written again, left out"]


def _changes(image: Image.Image, source: Image.Exif) -> list[str]:
    changes = []
    info = getattr(image, "info", {})
    if (turned := info.get(_TURNED) or orientation(image)) != 1:
        changes.append(f"exif: orientation {turned} applied")
    elif source.get(ExifTags.Base.Orientation, 1) != 1:
        changes.append("exif: orientation makes no sense, ignored")
    is_tiff = getattr(image, "format", "TIFF") == "TIFF"  # there the next directory is the next picture
    if not is_tiff and source.get_ifd(ExifTags.IFD.IFD1):
        changes.append("exif: thumbnail left out")
    return changes


def _written(main: Tags, exif_ifd: Tags, gps: Tags) -> bytes | None:
    made = Image.Exif()
    for tag, value in main.items():
        made[tag] = value
    if exif_ifd:
        made.get_ifd(ExifTags.IFD.Exif).update(exif_ifd)
    if gps:
        made.get_ifd(ExifTags.IFD.GPSInfo).update(gps)
    try:
        return made.tobytes()
    except UNREADABLE:
        return None


def completed(
    block: bytes | None,
    dpi: tuple[float, float] | None,
    format_: str,
    *,
    is_srgb: bool,
    size: tuple[int, int] | None = None,
) -> bytes | None:
    """A block of `carried_exif` with what only the finished file knows.

    Args:
        dpi: pixels per inch, x and y. EXIF keeps fractions, for which JPEG has no place and WebP no field.
        is_srgb: whether the pixels are sRGB (ColorSpace, EXIF 3.0, 4.6.6).
        size: pixels across and down, where the file may have others than the source.
        format_: jpeg, whose samples are YCbCr and centred (JFIF 1.02); tiff, where EXIF may not repeat what
            its own tags say; or another.
    """
    if block is None and dpi is None:
        return None
    made = Image.Exif()
    if block is not None:
        made.load(block)
    inner = made.get_ifd(ExifTags.IFD.Exif)
    made.get_ifd(ExifTags.IFD.GPSInfo)
    if inner:
        inner[_COLOUR_SPACE] = _SRGB if is_srgb else _UNCALIBRATED
        inner.pop(_COMPRESSED_BITS, None)
        if size is not None:
            inner[_PIXEL_X], inner[_PIXEL_Y] = size
        if format_ == "jpeg":
            inner[_COMPONENTS] = _YCBCR
        elif format_ == "tiff":
            for tag in (_COMPONENTS, _PIXEL_X, _PIXEL_Y):
                inner.pop(tag, None)
    if dpi is not None:
        made[_X_RESOLUTION], made[_Y_RESOLUTION] = (TiffImagePlugin.IFDRational(value) for value in dpi)
        made[_RESOLUTION_UNIT] = _INCH
    if format_ == "jpeg":
        made[_POSITIONING] = _CENTERED
    return made.tobytes()


def resolution(image: Image.Image) -> tuple[tuple[float, float] | None, list[str]]:
    """Pixels per inch in x and y, None where the source states none that is plausible, and what changed."""
    found, unit = image.info.get("dpi"), _INCH
    try:
        exif = image.getexif()
        if found is None and _X_RESOLUTION in exif and exif.get(_RESOLUTION_UNIT) in (_INCH, _CENTIMETRE):
            unit = exif[_RESOLUTION_UNIT]
            factor = 2.54 if unit == _CENTIMETRE else 1.0
            found = tuple(float(exif[tag]) * factor for tag in (_X_RESOLUTION, _Y_RESOLUTION))
        elif isinstance(image, TiffImagePlugin.TiffImageFile):
            unit = image.tag_v2.get(_RESOLUTION_UNIT, _INCH)
            found = found if _X_RESOLUTION in image.tag_v2 else None  # Pillow makes up 1
        elif isinstance(image, JpegImagePlugin.JpegImageFile) and image.info.get("jfif_unit") == 2:
            unit = _CENTIMETRE
        elif isinstance(image, JpegImagePlugin.JpegImageFile) and image.info.get("jfif_unit") != 1:
            found = found if _X_RESOLUTION in exif else None  # Pillow makes up 72
    except UNREADABLE:
        pass  # what JFIF, pHYs and the like say counts all the same
    if found is None:
        return None, []
    try:
        x, y = (float(value) for value in found)
    except UNREADABLE:
        x = y = math.nan
    if not all(math.isfinite(value) and 1 <= value <= 50_000 for value in (x, y)):
        return None, ["dpi: makes no sense, left out"]
    if unit == _CENTIMETRE:
        return (x, y), [f"dpi: {x / 2.54:g} per cm written as {x:g} per inch"]
    return (x, y), []
