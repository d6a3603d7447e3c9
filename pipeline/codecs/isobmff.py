"""The colour that a HEIF or AVIF states for its picture (ISO/IEC 23008-12, 6.5.5; 14496-12, 12.1.5)."""

from __future__ import annotations

from pipeline.codecs.jp2 import boxes

_NCLX = b"nclx"


def primary_nclx(data: bytes) -> tuple[int, int] | None:
    """Code points of primaries and transfer (ITU-T H.273) of the primary item; None where the file has none.

    Its matrix and range do not matter here, because decoders have already undone them.
    """
    try:
        meta = dict(boxes(dict(boxes(data))[b"meta"][4:]))
        properties = dict(boxes(meta[b"iprp"]))
        stated = list(boxes(properties[b"ipco"]))
        of_item = _associated(properties[b"ipma"], _primary(meta[b"pitm"]))
    except (ValueError, KeyError, IndexError):
        return None
    for number in of_item:
        kind, content = stated[number - 1] if 0 < number <= len(stated) else (b"", b"")
        if kind == b"colr" and content[:4] == _NCLX and len(content) >= 8:
            return int.from_bytes(content[4:6], "big"), int.from_bytes(content[6:8], "big")
    return None


def _primary(pitm: bytes) -> int:
    return int.from_bytes(pitm[4:6] if pitm[0] == 0 else pitm[4:8], "big")


def _associated(ipma: bytes, item: int) -> list[int]:
    """The numbers, from 1, of the item's properties."""
    wide, of_two_bytes = (4 if ipma[0] else 2), ipma[3] & 1
    count, at = int.from_bytes(ipma[4:8], "big"), 8
    for _ in range(min(count, len(ipma))):
        owner, links = int.from_bytes(ipma[at : at + wide], "big"), ipma[at + wide]
        at += wide + 1
        size = 2 if of_two_bytes else 1
        if owner == item:
            mask = 0x7FFF if of_two_bytes else 0x7F
            places = range(at, at + links * size, size)
            return [int.from_bytes(ipma[place : place + size], "big") & mask for place in places]
        at += links * size
    return []
