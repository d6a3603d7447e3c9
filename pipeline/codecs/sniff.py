"""Identify a file by its content: formats that we read, formats that we recognise but refuse, and non-images.

Signatures are from the formats' own specifications and the IANA media type registry.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

#: Formats read here, by the name Pillow gives them.
READABLE = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "JPEG2000", "HEIF", "AVIF")

_CONVERT = "convert it to a TIFF or PNG of the same depth"
_DEVELOP = "develop it to a 16-bit TIFF first"

# (offset, signature, what it is, what the user can do)
_REFUSED: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL", _CONVERT),
    (0, b"\xff\x0a", "JPEG XL (codestream)", _CONVERT),
    (0, b"8BPS", "Photoshop (PSD)", "save it flattened as a TIFF of the same depth"),
    (0, b"%PDF-", "PDF", "extract its page images first"),
    (0, b"%!PS", "PostScript", "render it to a TIFF first"),
    (0, b"\xc5\xd0\xd3\xc6", "EPS", "render it to a TIFF first"),
    (0, b"\x76\x2f\x31\x01", "OpenEXR", _CONVERT),
    (0, b"#?RADIANCE", "Radiance HDR", _CONVERT),
    (0, b"AT&TFORM", "DjVu", "extract its page images first"),
    (0, b"FUJIFILMCCD-RAW", "a camera raw file (RAF)", _DEVELOP),
    (0, b"IIU\x00", "a camera raw file (RW2)", _DEVELOP),
    (0, b"IIRO", "a camera raw file (ORF)", _DEVELOP),
    (0, b"MMOR", "a camera raw file (ORF)", _DEVELOP),
    (8, b"CR\x02", "a camera raw file (CR2)", _DEVELOP),
    (0, b"FOVb", "a camera raw file (X3F)", _DEVELOP),
    (0, b"SIMPLE  =", "FITS", _CONVERT),
    (128, b"DICM", "DICOM", _CONVERT),
    (0, b"II\xbc", "JPEG XR", _CONVERT),
    (0, b"qoif", "QOI", _CONVERT),
    (0, b"gimp xcf", "GIMP (XCF)", "export it as a TIFF or PNG of the same depth"),
    (0, b"\x00\x00\x01\x00", "an icon (ICO)", _CONVERT),
    (0, b"DDS ", "DDS", _CONVERT),
    (0, b"\x59\xa6\x6a\x95", "Sun raster", _CONVERT),
    (0, b"\x01\xda", "SGI", _CONVERT),
    (0, b"DanM", "Microsoft Paint 1 (MSP)", _CONVERT),
    (0, b"LinS", "Microsoft Paint 2 (MSP)", _CONVERT),
    (0, b"icns", "Apple icons", _CONVERT),
    (0, b"BPG\xfb", "BPG", _CONVERT),
)
_APPLE_DOUBLE = (b"\x00\x05\x16\x07", b"\x00\x05\x16\x00")  # RFC 1740: AppleDouble, AppleSingle
_DS_STORE = b"\x00\x00\x00\x01Bud1"
# Hexadecimal of CRC-32 to SHA-512, alone or beside a name, as md5sum writes it or the BSD tools.
_CHECKSUM_LINE = re.compile(
    rb"\s*(?:\\?[0-9a-fA-F]{8,128}(?:[ \t*]|\s*$)|[A-Z0-9-]+ ?\([^)]*\) ?= ?[0-9a-f]{8,128})"
)
_CHECKSUM_SUFFIXES = (".md5", ".sha1", ".sha256", ".sha512", ".sfv", ".crc", ".md5sum", ".sha256sum")
_BOX_BRANDS = {b"crx ": ("a camera raw file (CR3)", _DEVELOP)}
_READABLE_BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"), "HEIF"),
}
_JPEG_2000 = (b"\x00\x00\x00\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")
_BMP_HEADER_SIZES = (12, 16, 40, 52, 56, 64, 108, 124)
# Formats without a signature at their start: their name is all there is to know them by.
_BY_NAME = {
    ".tga": "Targa (TGA)",
    ".pcx": "PCX",
    ".pcd": "Photo CD",
    ".wbmp": "WBMP",
    ".xbm": "XBM",
    ".xpm": "XPM",
}
_RAW_SUFFIXES = {
    ".nef",
    ".arw",
    ".cr2",
    ".cr3",
    ".dng",
    ".pef",
    ".orf",
    ".rw2",
    ".raf",
    ".srw",
    ".3fr",
    ".iiq",
}
_OTHER_SUFFIXES = """
.jpg .jpeg .jpe .jfif .mpo .png .apng .webp .tif .tiff .bmp .dib .gif .jp2 .j2k .jpf .jpx .j2c .jpc .jxl
.heic .heif .hif .avif .psd .psb .exr .hdr .ico .cur .svg .svgz .pbm .pgm .ppm .pnm .fits .fit .dds .sgi .ras
.msp .djvu .djv .qoi .xcf .icns .jxr .wdp .eps .dcm
"""
_IMAGE_SUFFIXES = frozenset(_OTHER_SUFFIXES.split()) | _RAW_SUFFIXES | _BY_NAME.keys()


def readable_format(data: bytes) -> str | None:
    """The Pillow name of the format if it is one of `READABLE`, by its signature alone."""
    if data[:2] == b"\xff\xd8":
        return "JPEG"
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[:4] in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"):
        return None if data[8:11] == b"CR\x02" else "TIFF"
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return "GIF"
    if data.startswith(_JPEG_2000):
        return "JPEG2000"
    if data[4:8] == b"ftyp" and data[8:12] in _READABLE_BRANDS:
        return _READABLE_BRANDS[data[8:12]]
    # "BM" alone also begins English words: the header's size must be one that exists
    if data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in _BMP_HEADER_SIZES:
        return "BMP"
    return None


def refused_format(data: bytes, key: str) -> tuple[str, str] | None:
    """(what it is, what the user can do) of an image in a format that is not read; None for all else."""
    for offset, signature, name, advice in _REFUSED:
        if data[offset : offset + len(signature)] == signature:
            return name, advice
    if data[4:8] == b"ftyp" and data[8:12] in _BOX_BRANDS:
        return _BOX_BRANDS[data[8:12]]
    if data[:1] == b"P" and data[1:2] in b"1234567fF" and len(data) > 2 and data[2:3] in b" \t\r\n":
        return "Netpbm (PBM, PGM, PPM)", _CONVERT
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith(b"<svg") or (head.startswith((b"<?xml", b"<!doctype svg")) and b"<svg" in head):
        return "SVG, a drawing", "only photographs are coloured"
    suffix = _suffix(key)
    if suffix in _BY_NAME and data and not data[:64].isspace():
        return f"{_BY_NAME[suffix]} by its name", _CONVERT
    return None


def companion(data: bytes, key: str) -> str | None:
    """The kind of companion file that programs leave next to photographs, by content and name; else None.

    AppleDouble files have the photograph's full name after `._`, so they may look like images.
    """
    name = PurePosixPath(key).name
    if data[:4] in _APPLE_DOUBLE:
        return "AppleDouble, macOS metadata of a file on another file system"
    if name.startswith("._") and not any(data):
        return "an empty AppleDouble file of macOS"
    if name == ".DS_Store" or data[:8] == _DS_STORE:
        return "the view settings of a folder (.DS_Store)"
    if name.lower() in ("thumbs.db", "ehthumbs.db", "desktop.ini"):
        return "folder data of Windows"
    if name == "_SUCCESS" and not data:
        return "the mark of a finished job (_SUCCESS)"
    head = data[:1024].lower()
    if _suffix(key) == ".xmp" and (b"x:xmpmeta" in head or b"rdf:rdf" in head or b"<?xpacket" in head):
        return "an XMP sidecar"
    if _CHECKSUM_LINE.match(data[:512]) and (_suffix(key) in _CHECKSUM_SUFFIXES or _is_manifest(name)):
        return "a file of checksums"
    return None


def _is_manifest(name: str) -> bool:
    return name.lower().startswith(
        ("manifest-", "tagmanifest-", "checksum", "md5sum", "sha1sum", "sha256sum")
    )


def is_raw_name(key: str) -> bool:
    """Whether the name is that of a camera raw file, a TIFF whose first image is only a thumbnail."""
    return _suffix(key) in _RAW_SUFFIXES


def claims_image(key: str, content_type: str | None) -> str | None:
    """What claims that this object is an image: its suffix or its content type; None where nothing does."""
    if (suffix := _suffix(key)) in _IMAGE_SUFFIXES:
        return f"the name ends in {suffix}"
    if content_type is not None and content_type.lower().startswith("image/"):
        return f"its content type is {content_type}"
    return None


def describe_other(data: bytes) -> str:
    """A few words on what a non-image file is, for the message of its row."""
    if not data:
        return "the file is empty"
    if not any(data):
        return "every byte is zero, as after a storage fault"
    head = data[:1024].lstrip().lower()
    if head.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer, fetch the real file"
    if head.startswith((b"<!doctype html", b"<html")) or b"<html" in head:
        return "it is a web page, perhaps an error page that was saved"
    if head.startswith((b"<?xml", b"<error")):
        return "it is XML"
    if data[:4] == b"PK\x03\x04":
        return "it is a ZIP archive"
    if data[:2] == b"\x1f\x8b":
        return "it is gzip-compressed, unpack it first"
    if all(byte >= 32 or byte in b"\t\r\n\f" for byte in data[:512]):
        return "it is text"
    return f"it begins with the bytes {data[:8].hex(' ')}"


def _suffix(key: str) -> str:
    return PurePosixPath(key).suffix.lower()
