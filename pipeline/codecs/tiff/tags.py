"""Metadata in TIFFs: EXIF and GPS directories, and tags added to a file that is finished."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

from PIL import ExifTags, Image, TiffImagePlugin, TiffTags

from pipeline.codecs.metadata.block import ResultMetadata
from pipeline.codecs.metadata.exif import in_other_order
from pipeline.codecs.metadata.iptc import IPTC_TAG, tiff_words

LONG, LONG8 = TiffTags.LONG, TiffTags.LONG8
_XMP, _ICC, _INCH = 700, 34675, 2
RESOLUTION = (282, 283, 296)
_RESOLUTION_UNIT, _NO_UNIT = 296, 1
# Tags that point to directories, with their names in tifffile.
_POINTERS = {int(ExifTags.IFD.Exif): "ExifTag", int(ExifTags.IFD.GPSInfo): "GPSTag"}
_FORMATS = {  # of `struct`
    TiffTags.BYTE: "B",
    TiffTags.ASCII: "B",
    TiffTags.SHORT: "H",
    TiffTags.LONG: "L",
    TiffTags.RATIONAL: "LL",
    TiffTags.SIGNED_BYTE: "b",
    TiffTags.UNDEFINED: "B",
    TiffTags.SIGNED_SHORT: "h",
    TiffTags.SIGNED_LONG: "l",
    TiffTags.SIGNED_RATIONAL: "ll",
    TiffTags.FLOAT: "f",
    TiffTags.DOUBLE: "d",
    TiffTags.IFD: "L",
    TiffTags.LONG8: "Q",
}


def append_directories(
    file: BinaryIO, metadata: ResultMetadata | None, big: bool
) -> tuple[dict[int, Any], dict[str, int]]:
    """Write the EXIF and GPS directories of a picture at the end of the file.

    Returns:
        The tags of the picture's own directory, and where the written directories are, by the name of the tag
        that points to them.
    """
    if metadata is None:
        return {}, {}
    exif = Image.Exif()
    if metadata.exif is not None:
        exif.load(metadata.exif)
    main = {tag: value for tag, value in exif.items() if tag not in _POINTERS}
    main |= {_XMP: metadata.xmp, _ICC: metadata.icc}
    if metadata.iptc is not None:
        main[IPTC_TAG] = tiff_words(metadata.iptc)
    if metadata.dpi is not None:
        main |= dict(zip(RESOLUTION, (*metadata.dpi, _INCH), strict=True))
    # the block is big-endian, the file is not
    directories = {tag: in_other_order(dict(exif.get_ifd(tag)), tag) for tag in _POINTERS}
    written = {
        name: _append(file, _directory(directories[tag], big, tag), big)
        for tag, name in _POINTERS.items()
        if directories[tag]
    }
    return main, written


def fields(tags: dict[int, Any]) -> Iterator[tuple[int, int, int, bytes | tuple[int, ...]]]:
    """Tag, type, count and value of each tag in the form of tifffile: little-endian bytes, but of rational
    numbers (numerator, denominator, numerator, ...)."""
    written = _directory(tags, big=False).tobytes(0)
    (entries,) = struct.unpack_from("<H", written)
    for at in range(2, 2 + 12 * entries, 12):
        tag, kind, count, inline = struct.unpack_from("<HHL4s", written, at)
        size = count * struct.calcsize(f"<{_FORMATS[kind]}")
        place = int.from_bytes(inline, "little")
        value = inline[:size] if size <= 4 else written[place : place + size]
        rational = kind in (TiffTags.RATIONAL, TiffTags.SIGNED_RATIONAL)
        yield tag, kind, count, struct.unpack(f"<{count * _FORMATS[kind]}", value) if rational else value


def set_count(file: BinaryIO, at: int, tag: int, count: int, big: bool) -> None:
    """State another count of values for a tag of the directory at `at`; the file is left at its end."""
    entries, _ = _entries(file, at, big)
    place = at + (8 if big else 2) + (20 if big else 12) * list(entries).index(tag) + 4
    file.seek(place)
    file.write(struct.pack("<Q" if big else "<L", count))
    file.seek(0, 2)


def remove_unstated_resolutions(file: BinaryIO) -> None:
    """Remove the resolutions without a unit, which tifffile writes where it knows none."""
    big, at = _first_directory(file)
    while at:
        entries, link = _entries(file, at, big)
        unit = entries.get(_RESOLUTION_UNIT)
        if unit is not None and struct.unpack_from("<H", unit, 12 if big else 8)[0] == _NO_UNIT:
            _write_entries(file, at, _without_resolution(entries), link, big)
        at = link


def amend(file: BinaryIO, metadata: ResultMetadata) -> None:
    """Give the first picture of a finished TIFF the tags of `metadata`, in place of its own tags of the kind.

    Its directory is rewritten at the end of the file, with the entries of the old one, which point to the
    same places. The resolution that libtiff makes up is removed from all pictures.

    Args:
        file: a little-endian TIFF or BigTIFF, open for reading and writing.
    """
    big, at = _first_directory(file)
    old, link = _entries(file, at, big)
    main, written = append_directories(file, metadata, big)
    main |= {tag: written[name] for tag, name in _POINTERS.items() if name in written}
    replaced, _ = _entries(file, _append(file, _directory(main, big), big), big)
    place = even_end(file)
    _write_entries(file, place, _without_resolution(old) | replaced, link, big)
    file.seek(8 if big else 4)
    file.write(struct.pack("<Q" if big else "<L", place))
    while link:
        entries, after = _entries(file, link, big)
        _write_entries(file, link, _without_resolution(entries), after, big)
        link = after


def _without_resolution(entries: dict[int, bytes]) -> dict[int, bytes]:
    return {tag: entry for tag, entry in entries.items() if tag not in RESOLUTION}


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
    directory = TiffImagePlugin.ImageFileDirectory_v2(ifh=header, group=group)
    for pointer in _POINTERS:
        directory.tagtype[pointer] = LONG8 if big else LONG
    for tag, value in tags.items():
        directory[tag] = value
    return directory


def _append(file: BinaryIO, directory: TiffImagePlugin.ImageFileDirectory_v2, big: bool) -> int:
    """Write a directory with its values at the end of the file; where that is."""
    at = even_end(file)
    if not big and at + 2**24 > 2**32:
        raise ValueError("the file would be larger than 4 GiB")
    file.write(directory.tobytes(at))
    return at


def even_end(file: BinaryIO) -> int:
    """Go to the end of the file, which is made an even byte; where that is."""
    at = file.seek(0, 2)
    file.write(bytes(at % 2))
    return at + at % 2
