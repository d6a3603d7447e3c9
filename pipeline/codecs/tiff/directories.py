"""Find out which pictures in a TIFF are photographs, and which of their channels are colours.

Thumbnails and masks stand before or after the photograph and are marked by NewSubfileType, or by the older
SubfileType (TIFF 6.0, sections 8 and 19). One rule for what is read in memory and in strips.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

from pipeline.errors import FailureCode, ImageFailure

NEW_SUBFILE_TYPE, SUBFILE_TYPE, PHOTOMETRIC, EXTRA_SAMPLES, SUB_IFDS = 254, 255, 262, 338, 330
_WIDTH, _HEIGHT = 256, 257
_REDUCED, _MASK = 1, 4  # bits of NewSubfileType
_OLD_REDUCED = 2  # SubfileType
_ASSOCIATED, _UNASSOCIATED = 1, 2
# Bytes of a value by its type.
_SIZES = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_ORDINALS = {2: "second", 4: "fourth", 5: "fifth"}
_INTEGERS = {1: "B", 3: "H", 4: "L", 13: "L", 16: "Q"}
_MOST_DIRECTORIES, _MOST_ENTRIES = 65_536, 4_096


@dataclass(frozen=True)
class Entry:
    """One entry: where its values lie in the file, how many, of which type."""

    type: int
    count: int
    at: int


@dataclass(frozen=True)
class Directory:
    """A picture of the file, number `index` from 0."""

    index: int
    entries: dict[int, Entry] = field(repr=False)
    values: dict[int, int] = field(repr=False)  # of NewSubfileType, size and the like

    @property
    def size(self) -> tuple[int, int]:
        """Pixels across and down."""
        return self.values.get(_WIDTH, 0), self.values.get(_HEIGHT, 0)

    @property
    def pixels(self) -> int:
        """How many it has."""
        return self.size[0] * self.size[1]

    @property
    def kind(self) -> str | None:
        """`reduced copy` or `mask` for what is no photograph."""
        new = self.values.get(NEW_SUBFILE_TYPE)
        if new is None:
            return "reduced copy" if self.values.get(SUBFILE_TYPE) == _OLD_REDUCED else None
        return "reduced copy" if new & _REDUCED else "mask" if new & _MASK else None


class Pages(NamedTuple):
    """The directories that are photographs, in order, and what is left out, for the ledger."""

    photographs: list[Directory]
    left_out: list[str]


def read_directories(file: BinaryIO) -> list[Directory]:
    """The file's chain of directories, as far as it makes sense.

    Raises:
        ImageFailure: CORRUPT where the chain comes back to itself, or the first one makes no sense.
    """
    file.seek(0)
    head = file.read(16)
    order, big = "<" if head[:2] == b"II" else ">", head[2:4] in (b"+\x00", b"\x00+")
    at = int(struct.unpack_from(order + ("Q" if big else "L"), head.ljust(16, b"\0"), 8 if big else 4)[0])
    directories: list[Directory] = []
    seen: set[int] = set()
    while at and at not in seen and len(directories) < _MOST_DIRECTORIES:
        seen.add(at)
        read = _directory(file, at, order, big, len(directories))
        if read is None:
            break
        directory, at = read
        directories.append(directory)
    if not directories:
        raise ImageFailure(FailureCode.CORRUPT, "the TIFF cannot be decoded: its directory makes no sense")
    return directories


def _directory(file: BinaryIO, at: int, order: str, big: bool, index: int) -> tuple[Directory, int] | None:
    """One directory and where the next is; None where it is cut short."""
    file.seek(at)
    head = file.read(8 if big else 2)
    if len(head) < (8 if big else 2):
        return None
    count, length = struct.unpack(order + ("Q" if big else "H"), head)[0], 20 if big else 12
    if count > _MOST_ENTRIES:
        return None
    body = file.read(count * length + (8 if big else 4))
    if len(body) < count * length:
        return None
    entries: dict[int, Entry] = {}
    values: dict[int, int] = {}
    for place in range(0, count * length, length):
        tag, type_ = struct.unpack_from(order + "HH", body, place)
        items = struct.unpack_from(order + ("Q" if big else "L"), body, place + 4)[0]
        field_at = place + (12 if big else 8)
        inline = _SIZES.get(type_, 1) * items <= (8 if big else 4)
        away = struct.unpack_from(order + ("Q" if big else "L"), body, field_at)[0]
        entries[tag] = Entry(type_, items, at + len(head) + field_at if inline else away)
        if type_ in _INTEGERS and inline and items:
            values[tag] = struct.unpack_from(order + _INTEGERS[type_], body, field_at)[0]
    following = body[count * length :]
    link = struct.unpack(order + ("Q" if big else "L"), following)[0] if len(following) in (4, 8) else 0
    return Directory(index, entries, values), link


def photographs(directories: Iterable[Directory]) -> Pages:
    """The pages: all that is neither a reduced copy nor a mask; if that leaves none, the largest copy.

    Raises:
        ImageFailure: UNSUPPORTED for a thumbnail whose picture is in a directory below it: camera raw files
            are built so, under other names too.
    """
    directories = list(directories)
    pages = [one for one in directories if one.kind is None]
    if not pages:
        if any(SUB_IFDS in one.entries for one in directories):
            raise ImageFailure(
                FailureCode.UNSUPPORTED,
                "a TIFF whose first image is a thumbnail and whose others are hidden below it is not "
                "supported; save it as a plain TIFF",
            )
        copies = [one for one in directories if one.kind != "mask"] or directories
        pages = [max(copies, key=lambda one: (one.pixels, -one.index))]
    left = [one for one in directories if one not in pages]
    said = [f"tiff: {one.kind} of {one.size[0]} x {one.size[1]} left out" for one in left]
    return Pages(pages, said)


class Channels(NamedTuple):
    """`alpha`: the index of the channel that is it, None without; `note`: what is left out."""

    alpha: int | None
    note: str | None


def channels(colours: int, samples: int, extra: tuple[int, ...] | None) -> Channels:
    """Which of a picture's `samples` is alpha, whose first `colours` are colour, by its ExtraSamples.

    1 and 2 are alpha, 0 is not (TIFF 6.0, section 18). Without the tag none is: film scanners store infrared
    so, and to take that for opacity would spoil the picture, while to take opacity for infrared only shows
    what was hidden.
    """
    count = samples - colours
    if count <= 0:
        return Channels(None, None)
    if extra is None:
        kind = f"its {count} channels without an ExtraSamples tag were"
        if count == 1:
            kind = f"its {_ORDINALS.get(samples, 'last')} channel, without an ExtraSamples tag, was"
        return Channels(None, f"{kind} taken for no alpha and left out")
    marked = (extra + (0,) * count)[:count]
    alpha = next((i for i, kind in enumerate(marked) if kind in (_ASSOCIATED, _UNASSOCIATED)), None)
    others = count - (alpha is not None)
    note = None
    if others:
        note = f"{others} channel{'s' if others > 1 else ''} that ExtraSamples does not call alpha left out"
    return Channels(None if alpha is None else colours + alpha, note)


def retagged(data: bytes, directory: Directory, changes: dict[int, int]) -> bytes:
    """The file with another value for some tags of one directory, which must hold integers."""
    order = "<" if data[:2] == b"II" else ">"
    made = bytearray(data)
    for tag, value in changes.items():
        entry = directory.entries[tag]
        code = order + _INTEGERS[entry.type]
        for item in range(entry.count):
            struct.pack_into(code, made, entry.at + item * struct.calcsize(code), value)
    return bytes(made)
