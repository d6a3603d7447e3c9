"""EXIF and resolution of a source, in the form in which its colour image carries them (EXIF 3.0, TIFF 6.0).

Left out are the orientation, because the pixels are turned, the thumbnail, which would still be gray, and all
that describes how the source file was laid out.
"""

from __future__ import annotations

import math
import struct

from PIL import ExifTags, Image

# Tags of IFD 0 that speak of the photograph and its scan.
_CARRIED = {
    *range(0x010D, 0x0111),  # DocumentName, ImageDescription, Make, Model
    *(
        0x011D,
        0x0129,
        0x0131,
        0x0132,
        0x013B,
        0x013C,
    ),  # PageName, PageNumber, Software, DateTime, Artist, Host
    0x8298,  # Copyright
    *range(0x9C9B, 0x9CA0),  # XPTitle to XPSubject
}
_MAKER_NOTE = 0x927C
_INTEROPERABILITY = 0xA005
_PIXEL_X, _PIXEL_Y = 0xA002, 0xA003
# A JPEG segment holds 65,533 bytes; some room is left for its header.
_LARGEST = 65_000
# Whatever a hostile EXIF block makes Pillow's parser and writer raise.
_UNREADABLE = (SyntaxError, OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError)
UNREADABLE = (*_UNREADABLE, struct.error, ZeroDivisionError, OverflowError, NotImplementedError, RuntimeError)


def orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; 1 where there is none or it makes no sense."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except UNREADABLE:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def carried_exif(image: Image.Image, width: int, height: int) -> bytes | None:
    """The EXIF block (with its `Exif` header) for a result of `width` x `height`; None without any.

    Raises:
        ValueError: there is EXIF, but it cannot be read or written again.
    """
    try:
        source = image.getexif()
        exif_ifd = dict(source.get_ifd(ExifTags.IFD.Exif))
        gps = dict(source.get_ifd(ExifTags.IFD.GPSInfo))
        main = {tag: source[tag] for tag in source if tag in _CARRIED}
    except UNREADABLE as error:
        raise ValueError(str(error)) from error
    exif_ifd.pop(_INTEROPERABILITY, None)
    if exif_ifd:
        exif_ifd |= {_PIXEL_X: width, _PIXEL_Y: height}
    slim = {tag: value for tag, value in exif_ifd.items() if tag != _MAKER_NOTE}
    if not (main or exif_ifd or gps):
        return None
    for parts in ((main, exif_ifd, gps), (main, slim, gps), (main, slim, {}), (main, {}, {})):
        written = _written(*parts)
        if written is not None and len(written) <= _LARGEST:
            return written
    raise ValueError("it cannot be written again")


def _written(main: dict[int, object], exif_ifd: dict[int, object], gps: dict[int, object]) -> bytes | None:
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


def resolution(image: Image.Image) -> tuple[float, float] | None:
    """Pixels per inch in x and y; None where the source states none that is plausible."""
    try:
        x, y = (float(value) for value in image.info["dpi"])
    except (*UNREADABLE,):
        return None
    return (x, y) if all(math.isfinite(value) and 1 <= value <= 50_000 for value in (x, y)) else None
