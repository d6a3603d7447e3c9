"""Convert EXIF and resolution of a source for its colour image (EXIF 3.0, TIFF 6.0).

Omits the orientation, because the pixels are rotated; the thumbnail, which would still be gray; and
everything that describes the layout of the source file.
"""

from __future__ import annotations

import math
import struct
from typing import Any

from PIL import Image, JpegImagePlugin, TiffImagePlugin, TiffTags
from PIL.ExifTags import GPS, IFD, TAGS, Base

from pipeline.codecs.metadata.orientation import UPRIGHT, Orientation, of_image

# Tags of the main directory that describe how the source's pixels are laid out, or hold what is carried by
# other ways: ICC, XMP, IPTC, resolution, directories. All others describe the photograph and its scan,
# georeferences included. Names are those of Pillow; the numbers are tags that it does not name.
# fmt: off
_LAYOUT = {
    Base.NewSubfileType, Base.SubfileType, Base.ImageWidth, Base.ImageLength, Base.BitsPerSample,
    Base.Compression, Base.PhotometricInterpretation, Base.Thresholding, Base.CellWidth, Base.CellLength,
    Base.FillOrder, Base.StripOffsets, Base.Orientation, Base.SamplesPerPixel, Base.RowsPerStrip,
    Base.StripByteCounts, Base.MinSampleValue, Base.MaxSampleValue, Base.XResolution, Base.YResolution,
    Base.PlanarConfiguration, Base.FreeOffsets, Base.FreeByteCounts, Base.GrayResponseUnit,
    Base.GrayResponseCurve, Base.T4Options, Base.T6Options, Base.ResolutionUnit, Base.TransferFunction,
    Base.Predictor, Base.WhitePoint, Base.PrimaryChromaticities, Base.ColorMap, Base.HalftoneHints,
    Base.TileWidth, Base.TileLength, Base.TileOffsets, Base.TileByteCounts, Base.SubIFDs, Base.InkSet,
    Base.InkNames, Base.NumberOfInks, Base.DotRange, Base.ExtraSamples, Base.SampleFormat,
    Base.SMinSampleValue, Base.SMaxSampleValue, Base.TransferRange, Base.ClipPath, Base.JPEGTables,
    Base.JPEGProc, Base.JpegIFOffset, Base.JpegIFByteCount, Base.JpegRestartInterval,
    Base.JpegLosslessPredictors, Base.JpegPointTransforms, Base.JpegQTables, Base.JpegDCTables,
    Base.JpegACTables, Base.YCbCrCoefficients, Base.YCbCrSubSampling, Base.YCbCrPositioning,
    Base.ReferenceBlackWhite, Base.XMLPacket, Base.CFARepeatPatternDim, Base.IPTCNAA, Base.ImageResources,
    Base.ExifOffset, Base.InterColorProfile, Base.GPSInfo,
    Base.ExifInteroperabilityOffset,
    326, 327, 328,  # BadFaxLines, CleanFaxData, ConsecutiveBadFaxLines
    400,  # GlobalParametersIFD
    516,  # reserved between the tags of old JPEG
    32997, 32998,  # ImageDepth, TileDepth
    33422,  # CFAPattern of TIFF/EP
    37724,  # ImageSourceData, Photoshop's layers
}
# fmt: on
_YCBCR = b"\x01\x02\x03\x00"  # of ComponentsConfiguration
_INCH, _CENTIMETRE, _CENTERED, _SRGB, _UNCALIBRATED = 2, 3, 1, 1, 0xFFFF
# A JPEG segment holds 65,533 bytes; some room is left for its header and for what `completed` adds.
_LARGEST = 64_900
# Whatever a hostile EXIF block makes Pillow's parser and writer raise.
_UNREADABLE = (SyntaxError, OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError)
UNREADABLE = (*_UNREADABLE, struct.error, ZeroDivisionError, OverflowError, NotImplementedError, RuntimeError)

# Of type UNDEFINED by EXIF 3.0 and its GPS directory; Pillow does not know them all and would write BYTE.
_UNDEFINED = {
    IFD.Exif: (
        Base.OECF, Base.ComponentsConfiguration, Base.MakerNote, Base.UserComment,
        Base.SpatialFrequencyResponse, Base.FileSource, Base.SceneType, Base.CFAPattern,
        Base.DeviceSettingDescription,
    ),
    IFD.GPSInfo: (GPS.GPSProcessingMethod, GPS.GPSAreaInformation),
}  # fmt: skip
for _group, _tags in _UNDEFINED.items():
    _known = TiffTags.TAGS_V2_GROUPS.setdefault(int(_group), {})
    for _tag in _tags:
        _known.setdefault(int(_tag), TiffTags.TagInfo(_tag, type=TiffTags.UNDEFINED, length=1))

Tags = dict[int, Any]

_UTF16 = b"UNICODE\x00"
_WITH_CODE: dict[int, tuple[int, ...]] = {
    int(IFD.Exif): (int(Base.UserComment),),
    int(IFD.GPSInfo): (int(GPS.GPSProcessingMethod), int(GPS.GPSAreaInformation)),
}


class Utf8(str):
    """The text of a field of type UTF-8 (EXIF 3.0, 4.6.2), each byte as one character, as Pillow has it."""


def _read_utf8(directory: TiffImagePlugin.ImageFileDirectory_v2, data: bytes, legacy: bool = True) -> Utf8:
    return Utf8(directory.load_string(data, legacy))


def _write_text(directory: TiffImagePlugin.ImageFileDirectory_v2, value: str | bytes | int) -> bytes:
    """The bytes of an ASCII field, as they were read."""
    if not isinstance(value, bytes):
        value = str(value).encode("latin-1", "replace")
    return value + b"\x00"


# Pillow reads the bytes of a text as Latin-1, writes `?` for those beyond ASCII, and does not know UTF-8.
# Programs write UTF-8 or Latin-1 into fields of type ASCII: the same bytes must come out.
_UTF8 = 129
TiffImagePlugin.ImageFileDirectory_v2._load_dispatch[_UTF8] = (1, _read_utf8)
TiffImagePlugin.ImageFileDirectory_v2._write_dispatch[TiffTags.ASCII] = _write_text


def orientation(image: Image.Image) -> Orientation:
    """See `orientation.of_image`; upright where the block cannot be read."""
    try:
        return of_image(image)
    except UNREADABLE:
        return UPRIGHT


def carried_exif(image: Image.Image, width: int, height: int) -> tuple[bytes | None, list[str]]:
    """The EXIF block (with its `Exif` header) for a result of `width` x `height`, None without any, and what
    was changed or left out, for the ledger. A block that cannot be read is left out and listed."""
    try:
        source = image.getexif()
        exif_ifd = dict(source.get_ifd(IFD.Exif))
        gps = dict(source.get_ifd(IFD.GPSInfo))
        if source.endian == "<":  # the block is written big-endian
            exif_ifd, gps = in_other_order(exif_ifd, IFD.Exif), in_other_order(gps, IFD.GPSInfo)
        main = {tag: source[tag] for tag in source if tag not in _LAYOUT}
        changes = _changes(image, source)
    except UNREADABLE:
        return None, ["exif: cannot be read, left out"]
    if exif_ifd.pop(Base.ExifInteroperabilityOffset, None) is not None:
        changes.append("exif: interoperability directory left out")
    if exif_ifd:
        exif_ifd |= {Base.ExifImageWidth: width, Base.ExifImageHeight: height}
    if not (main or exif_ifd or gps):
        return None, changes
    named = {tag: value for tag, value in main.items() if tag in TAGS}
    slim = {tag: value for tag, value in exif_ifd.items() if tag != Base.MakerNote}
    moved = ["exif: MakerNote moved, offsets inside it may not fit"] if Base.MakerNote in exif_ifd else []
    note = ["exif: MakerNote left out"] if moved else []
    private = ["exif: unknown tags left out"] if named != main else []
    if any(isinstance(value, Utf8) for part in (main, exif_ifd, gps) for value in part.values()):
        changes.append("exif: text of type UTF-8 written as type ASCII, with the same bytes")
    for parts, losses in (
        ((main, exif_ifd, gps), moved),
        ((named, exif_ifd, gps), [*private, *moved]),
        ((named, slim, gps), [*private, *note]),
        ((named, slim, {}), [*private, *note, "exif: GPS left out"]),
        ((named, {}, {}), ["exif: all but its main directory left out"]),
    ):
        written = _written(*parts)
        if written is not None and len(written) <= _LARGEST:
            return written, [*changes, *losses]
    return None, [*changes, "exif: cannot be written again, left out"]


def in_other_order(tags: Tags, group: int) -> Tags:
    """The tags of a directory with their texts of UTF-16, which follow the block, in the other byte order.

    These are the texts that begin with a character code, UserComment and two of GPS.
    """
    turned = dict(tags)
    for tag in _WITH_CODE.get(group, ()):
        value = tags.get(tag)
        if isinstance(value, bytes) and value.startswith(_UTF16):
            text = value[len(_UTF16) :]
            even = len(text) // 2 * 2
            pairs = bytes(byte for at in range(0, even, 2) for byte in (text[at + 1], text[at]))
            turned[tag] = _UTF16 + pairs + text[even:]
    return turned


def _changes(image: Image.Image, source: Image.Exif) -> list[str]:
    changes = []
    turned = orientation(image)
    if turned.value != 1:
        changes.append(f"{turned.source}: orientation {turned.value} applied")
    elif source.get(Base.Orientation, 1) != 1:
        changes.append("exif: orientation makes no sense, ignored")
    is_tiff = getattr(image, "format", "TIFF") == "TIFF"  # there the next directory is the next picture
    if not is_tiff and source.get_ifd(IFD.IFD1):
        changes.append("exif: thumbnail left out")
    return changes


def _written(main: Tags, exif_ifd: Tags, gps: Tags) -> bytes | None:
    """The block with these directories; None where it cannot be written."""
    block = Image.Exif()
    for tag, value in _typed(main).items():
        block[tag] = value
    if exif_ifd:
        block.get_ifd(IFD.Exif).update(_typed(exif_ifd, IFD.Exif))
    if gps:
        block.get_ifd(IFD.GPSInfo).update(_typed(gps, IFD.GPSInfo))
    try:
        return block.tobytes()
    except UNREADABLE:
        return None


def _typed(tags: Tags, group: int | None = None) -> Tags:
    """The tags with texts as bytes where the standard wants bytes: a source may hold them as ASCII."""
    return {
        tag: value.encode("latin-1", "replace")
        if isinstance(value, str) and TiffTags.lookup(tag, group).type in (TiffTags.BYTE, TiffTags.UNDEFINED)
        else value
        for tag, value in tags.items()
    }


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
    finished = Image.Exif()
    if block is not None:
        finished.load(block)
    inner = finished.get_ifd(IFD.Exif)
    finished.get_ifd(IFD.GPSInfo)
    if inner:
        inner[Base.ColorSpace] = _SRGB if is_srgb else _UNCALIBRATED
        inner.pop(Base.CompressedBitsPerPixel, None)
        if size is not None:
            inner[Base.ExifImageWidth], inner[Base.ExifImageHeight] = size
        if format_ == "jpeg":
            inner[Base.ComponentsConfiguration] = _YCBCR
        elif format_ == "tiff":
            for tag in (Base.ComponentsConfiguration, Base.ExifImageWidth, Base.ExifImageHeight):
                inner.pop(tag, None)
    if dpi is not None:
        finished[Base.XResolution], finished[Base.YResolution] = (
            TiffImagePlugin.IFDRational(value) for value in dpi
        )
        finished[Base.ResolutionUnit] = _INCH
    if format_ == "jpeg":
        finished[Base.YCbCrPositioning] = _CENTERED
    return finished.tobytes()


def exif_resolution(image: Image.Image) -> tuple[float, float] | None:
    """Pixels per inch in x and y as `completed` writes them, None where the file has none: PNG itself knows
    whole numbers of pixels per metre alone."""
    exif = image.getexif()
    if Base.XResolution not in exif or exif.get(Base.ResolutionUnit) != _INCH:
        return None
    return float(exif[Base.XResolution]), float(exif[Base.YResolution])


def resolution(image: Image.Image) -> tuple[tuple[float, float] | None, list[str]]:
    """Pixels per inch in x and y, None where the source states none that is plausible, and what changed."""
    values, unit = image.info.get("dpi"), _INCH
    try:
        exif = image.getexif()
        if (
            values is None
            and Base.XResolution in exif
            and exif.get(Base.ResolutionUnit) in (_INCH, _CENTIMETRE)
        ):
            unit = exif[Base.ResolutionUnit]
            factor = 2.54 if unit == _CENTIMETRE else 1.0
            values = tuple(float(exif[tag]) * factor for tag in (Base.XResolution, Base.YResolution))
        elif isinstance(image, TiffImagePlugin.TiffImageFile):
            unit = image.tag_v2.get(Base.ResolutionUnit, _INCH)
            values = values if Base.XResolution in image.tag_v2 else None  # Pillow makes up 1
        elif isinstance(image, JpegImagePlugin.JpegImageFile) and image.info.get("jfif_unit") == 2:
            unit = _CENTIMETRE
        elif isinstance(image, JpegImagePlugin.JpegImageFile) and image.info.get("jfif_unit") != 1:
            values = values if Base.XResolution in exif else None  # Pillow makes up 72
    except UNREADABLE:
        pass  # what JFIF, pHYs and the like say counts all the same
    if values is None:
        return None, []
    try:
        x, y = (float(value) for value in values)
    except UNREADABLE:
        x = y = math.nan
    if not all(math.isfinite(value) and 1 <= value <= 50_000 for value in (x, y)):
        return None, ["dpi: makes no sense, left out"]
    if unit == _CENTIMETRE:
        return (x, y), [f"dpi: {x / 2.54:g} per cm written as {x:g} per inch"]
    return (x, y), []
