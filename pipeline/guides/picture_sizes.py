"""The size of a picture in a store, from its header alone: a few ranges are read, no pixels."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import BinaryIO, cast

from PIL import Image

from pipeline.codecs.metadata import exif
from pipeline.codecs.sniff import readable_format
from pipeline.storage import Store

_BLOCK_BYTES = 64 * 2**10
_MOST_BLOCKS = 64  # of one header: 4 MiB, more than any EXIF block and embedded profile take
_PNG_HEAD_BYTES = 26  # signature, IHDR with width, height, bit depth and colour type (W3C PNG, 11.2.1)
_FORMATS = {"JPEG": ("JPEG", "MPO"), "TIFF": ("TIFF",), "GIF": ("GIF",), "BMP": ("BMP",)}
_KINDS = {0: "gray", 2: "RGB", 3: "palette", 4: "gray with alpha", 6: "RGBA"}


@dataclass(frozen=True)
class PngHead:
    """What a PNG's first 26 bytes say. `kind`: "RGBA", "RGB", "palette", "gray", "gray with alpha"."""

    width: int
    height: int
    kind: str


def png_head(data: bytes) -> PngHead | None:
    """The head of a PNG; None of anything else."""
    if len(data) < _PNG_HEAD_BYTES or readable_format(data) != "PNG" or data[12:16] != b"IHDR":
        return None
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    return PngHead(width, height, _KINDS.get(data[25], "unknown"))


def upright_sizes(store: Store, key: str, etag: str, size: int) -> set[tuple[int, int]]:
    """(width, height) upright as far as the header tells: empty where it does not.

    A PNG may be rotated by an EXIF block after its pixels, so both orientations are possible.

    Raises:
        StorageError: as `Store.get`.
    """
    file = _Ranges(store, key, etag, size)
    start = file.read(_PNG_HEAD_BYTES)
    if (head := png_head(start)) is not None:
        return {(head.width, head.height), (head.height, head.width)}
    formats = _FORMATS.get(readable_format(start) or "")
    if formats is None:
        return set()
    file.seek(0)
    try:
        with Image.open(cast(BinaryIO, io.BufferedReader(file, _BLOCK_BYTES)), formats=formats) as image:
            width, height = image.size
            # of a TIFF Pillow gives the size upright already
            turned = image.format != "TIFF" and exif.orientation(image).value >= 5
    except _StoreFailed as failure:
        raise failure.error from None
    # Ignore whatever Pillow raises for a damaged header: the worker decodes the file under limits and reports
    # the fault.
    except Exception:
        return set()
    return {(height, width) if turned else (width, height)}


class _StoreFailed(Exception):
    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(eq=False)
class _Ranges(io.RawIOBase):
    """An object as a seekable file whose blocks are fetched when they are read."""

    store: Store
    key: str
    etag: str
    size: int
    position: int = 0
    blocks: dict[int, bytes] = field(default_factory=dict)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.size}[whence]
        self.position = max(0, base + offset)
        return self.position

    def tell(self) -> int:
        return self.position

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        index, offset = divmod(self.position, _BLOCK_BYTES)
        part = self._block(index)[offset : offset + len(buffer)] if self.position < self.size else b""
        buffer[: len(part)] = part
        self.position += len(part)
        return len(part)

    def _block(self, index: int) -> bytes:
        if index not in self.blocks:
            if len(self.blocks) == _MOST_BLOCKS:
                raise ValueError("the header is too long")
            start = index * _BLOCK_BYTES
            try:
                fetched = self.store.get(self.key, if_etag=self.etag, start=start, max_bytes=_BLOCK_BYTES)
            except Exception as error:
                raise _StoreFailed(error) from None
            self.blocks[index] = fetched.data
        return self.blocks[index]
