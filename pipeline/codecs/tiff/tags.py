"""What a TIFF says beside its pixels: EXIF and GPS directories, and tags added to a file that is finished."""

from __future__ import annotations

import struct
from typing import Any, BinaryIO

from PIL import ExifTags, Image, TiffImagePlugin

from pipeline.codecs.metadata.block import Outgoing
from pipeline.codecs.metadata.iptc import IPTC_TAG, tiff_words

LONG, LONG8 = 4, 16
_XMP, _ICC, _INCH = 700, 34675, 2
_RESOLUTION = (282, 283, 296)
_POINTERS = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)


def exif_directories(exif: bytes | None) -> tuple[dict[int, Any], dict[int, dict[int, Any]]]:
    """Tags of IFD 0, and those of the EXIF and GPS directories by the tag that points to them."""
    if exif is None:
        return {}, {}
    source = Image.Exif()
    source.load(exif)
    main: dict[int, Any] = dict(source)
    directories = {}
    for directory in _POINTERS:
        main.pop(directory, None)
        if entries := dict(source.get_ifd(directory)):
            directories[int(directory)] = entries
    return main, directories


def amend(file: BinaryIO, carried: Outgoing) -> None:
    """Make the first picture of a finished TIFF say what `carried` has, in place of its own tags of the kind.

    Its directory is written anew at the end of the file, with the entries of the old one, which point to the
    same places. The resolution that libtiff makes up goes, of all pictures.

    Args:
        file: a little-endian TIFF or BigTIFF, open for reading and writing.
    """
    big, at = _first_directory(file)
    old, link = _entries(file, at, big)
    main, directories = exif_directories(carried.exif)
    for tag, inner in directories.items():
        main[tag] = _append(file, _directory(inner, big, tag), big)
    main |= {_XMP: carried.xmp, _ICC: carried.icc}
    if carried.iptc is not None:
        main[IPTC_TAG] = tiff_words(carried.iptc)
    if carried.dpi is not None:
        main |= dict(zip(_RESOLUTION, (*carried.dpi, _INCH), strict=True))
    made, _ = _entries(file, _append(file, _directory(main, big), big), big)
    place = _end(file)
    _write_entries(file, place, _without_resolution(old) | made, link, big)
    file.seek(8 if big else 4)
    file.write(struct.pack("<Q" if big else "<L", place))
    while link:
        entries, after = _entries(file, link, big)
        _write_entries(file, link, _without_resolution(entries), after, big)
        link = after


def _without_resolution(entries: dict[int, bytes]) -> dict[int, bytes]:
    return {tag: entry for tag, entry in entries.items() if tag not in _RESOLUTION}


def _write_entries(file: BinaryIO, at: int, entries: dict[int, bytes], link: int, big: bool) -> None:
    """A directory of entries as they are in files; in place of a longer one it leaves a gap."""
    head = struct.pack("<Q" if big else "<H", len(entries))
    file.seek(at)
    file.write(
        head + b"".join(entries[tag] for tag in sorted(entries)) + struct.pack("<Q" if big else "<L", link)
    )


def _first_directory(file: BinaryIO) -> tuple[bool, int]:
    """Whether it is a BigTIFF, and where its first directory is."""
    file.seek(0)
    head = file.read(16)
    if head[:2] != b"II":
        raise ValueError("the TIFF is not little-endian")
    big = head[2] == 43
    return big, struct.unpack_from("<Q" if big else "<L", head, 8 if big else 4)[0]


def _entries(file: BinaryIO, at: int, big: bool) -> tuple[dict[int, bytes], int]:
    """The entries of a directory as they are in the file, by tag, and the place of the next directory."""
    count_bytes, entry_bytes, code = (8, 20, "<Q") if big else (2, 12, "<L")
    file.seek(at)
    count = int.from_bytes(file.read(count_bytes), "little")
    entries = [file.read(entry_bytes) for _ in range(count)]
    (link,) = struct.unpack(code, file.read(struct.calcsize(code)))
    return {struct.unpack_from("<H", entry)[0]: entry for entry in entries}, link


def _directory(
    tags: dict[int, Any], big: bool, group: int | None = None
) -> TiffImagePlugin.ImageFileDirectory_v2:
    header = b"II+\x00\x08\x00\x00\x00" + bytes(8) if big else b"II*\x00" + bytes(4)
    made = TiffImagePlugin.ImageFileDirectory_v2(ifh=header, group=group)
    for pointer in _POINTERS:
        made.tagtype[int(pointer)] = LONG8 if big else LONG
    for tag, value in tags.items():
        made[tag] = value
    return made


def _append(file: BinaryIO, directory: TiffImagePlugin.ImageFileDirectory_v2, big: bool) -> int:
    """Write a directory with its values at the end of the file; where that is."""
    at = _end(file)
    if not big and at + 2**24 > 2**32:
        raise ValueError("the file would be larger than 4 GiB")
    file.write(directory.tobytes(at))
    return at


def _end(file: BinaryIO) -> int:
    """The end of the file, on an even byte."""
    at = file.seek(0, 2)
    file.write(bytes(at % 2))
    return at + at % 2
