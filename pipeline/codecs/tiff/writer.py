"""A TIFF writer for finished pixels that come in rows: TIFF 6.0, or BigTIFF where 4 GiB might not do.

Deflate (TIFF technical note 2) or LZW, with horizontal differences (TIFF 6.0, section 14), any number of
pages, with EXIF and GPS directories. Pillow's compressed writer and libvips both go through libtiff, which
cannot write those directories into a stream, and Pillow has no 16-bit RGB; Pillow does write our directories.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, TiffImagePlugin

from pipeline.codecs.metadata.iptc import IPTC_TAG, tiff_words
from pipeline.codecs.tiff.lzw import lzw, most_bytes
from pipeline.codecs.tiff.tags import LONG, LONG8, exif_directories

Levels = NDArray[Any]  # uint8 or uint16
Compression = Literal["deflate", "lzw", "none"]

_LEVEL = 3
_STRIP_BYTES = 256 * 1024  # before compression; enough to compress well, small enough to read in part
_LARGEST = 2**32 - 1  # offsets of TIFF 6.0 are 32 bits wide
_PER_STRIP = 16 + 64  # bytes of a strip in the directory, and what deflate adds to noise
_RGB, _CHUNKY, _DIFFERENCES, _UNASSOCIATED_ALPHA, _INCH = 2, 1, 2, 2, 2
_SCHEMES = {"none": 1, "lzw": 5, "deflate": 8}
_STRIP_OFFSETS = 273
_DEPTHS = {np.dtype(np.uint8): 8, np.dtype(np.uint16): 16}


@dataclass(frozen=True)
class TiffPage:
    """One page: size in pixels, 3 (RGB) or 4 channels (with alpha), 8 or 16 bits, what it says of itself.

    dpi: pixels per inch in x and y; exif: a block as Pillow writes it; number: (index from 0, pages in all).
    """

    width: int
    height: int
    channels: int
    depth: int
    icc: bytes | None = None
    xmp: bytes | None = None
    exif: bytes | None = None
    dpi: tuple[float, float] | None = None
    description: str | None = None
    name: str | None = None
    number: tuple[int, int] | None = None
    iptc: bytes | None = None

    def __post_init__(self) -> None:
        if self.channels not in (3, 4) or self.depth not in (8, 16) or self.width < 1 or self.height < 1:
            raise ValueError(
                f"no such page: {self.width} x {self.height} x {self.channels} of {self.depth} bits"
            )

    @property
    def row_bytes(self) -> int:
        """Bytes of one row of pixels."""
        return self.width * self.channels * (self.depth // 8)

    @property
    def strip_rows(self) -> int:
        """Rows of one strip."""
        return min(max(1, _STRIP_BYTES // self.row_bytes), self.height)

    def bytes_at_most(self, compression: Compression = "deflate") -> int:
        """What the page can take in the file, if nothing of it can be compressed."""
        said = sum(len(part) for part in (self.icc, self.xmp, self.exif, self.iptc) if part is not None)
        strips = -(-self.height // self.strip_rows)
        pixels = self.row_bytes * self.height
        pixels = most_bytes(pixels) if compression == "lzw" else pixels * 1001 // 1000
        return pixels + strips * _PER_STRIP + said + 2**20


class TiffWriter:
    """Writes pages of rows into a binary file that can seek and is empty: `page`, `write` ..., `close`.

    bytes_at_most: the sum over all pages to come of theirs; what is over 4 GiB makes it a BigTIFF.
    threads: how many strips are compressed at a time; the bytes do not depend on it. Used in a `with`, the
    file is finished at its end unless an exception left it.
    """

    def __init__(
        self,
        file: BinaryIO,
        *,
        bytes_at_most: int,
        compression: Compression = "deflate",
        threads: int = 1,
    ) -> None:
        self.big = bytes_at_most > _LARGEST
        self._file, self._compression = file, compression
        self._header = b"II+\x00\x08\x00\x00\x00" + bytes(8) if self.big else b"II*\x00" + bytes(4)
        self._link = len(self._header) - (8 if self.big else 4)  # where the next directory's place goes
        self._position = len(self._header)
        self._pool = ThreadPoolExecutor(threads, "tiff") if threads > 1 else None
        self._ahead = threads + 1
        self._pending: deque[Future[bytes]] = deque()
        self._page: TiffPage | None = None
        file.write(self._header)

    def __enter__(self) -> TiffWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.close()
        finally:
            if self._pool is not None:
                self._pool.shutdown(cancel_futures=True)

    def page(self, page: TiffPage) -> None:
        """Begin a page. Raises ValueError where the page before lacks rows."""
        self._finish_page()
        self._page, self._rows = page, 0
        self._offsets: list[int] = []
        self._sizes: list[int] = []
        dtype = np.uint8 if page.depth == 8 else np.uint16
        self._strip = np.empty((page.strip_rows, page.width, page.channels), dtype)
        self._filled = 0

    def write(self, rows: Levels) -> None:
        """The next rows of the page, uint8 or uint16[n,W,channels]. Raises ValueError for other arrays."""
        page = self._page
        if page is None or _DEPTHS.get(rows.dtype) != page.depth or rows.shape[1:] != self._strip.shape[1:]:
            raise ValueError(f"rows {rows.dtype} {rows.shape} do not fit the page {page}")
        if self._rows + len(rows) > page.height:
            raise ValueError(f"the page has {page.height} rows; got {self._rows + len(rows)}")
        self._rows += len(rows)
        while len(rows):
            taken = min(len(rows), len(self._strip) - self._filled)
            self._strip[self._filled : self._filled + taken] = rows[:taken]
            self._filled += taken
            rows = rows[taken:]
            if self._filled == len(self._strip):
                self._flush()

    def close(self) -> None:
        """Finish the last page. Raises ValueError where it lacks rows or passes 4 GiB unannounced."""
        self._finish_page()

    def _flush(self) -> None:
        strip, self._filled = self._strip[: self._filled], 0
        if self._pool is None:
            self._append(_packed(strip, self._compression))
            return
        self._pending.append(self._pool.submit(_packed, strip.copy(), self._compression))
        while len(self._pending) > self._ahead:
            self._append(self._pending.popleft().result())

    def _append(self, data: bytes) -> None:
        self._offsets.append(self._put(data))
        self._sizes.append(len(data))

    def _put(self, data: bytes) -> int:
        """Write at the end, on an even byte; where that was."""
        at = self._position
        self._position += len(data) + len(data) % 2
        if not self.big and self._position > _LARGEST:
            raise ValueError("the file would be larger than 4 GiB")
        self._file.write(data + b"\x00" * (len(data) % 2))
        return at

    def _finish_page(self) -> None:
        page = self._page
        if page is None:
            return
        if self._rows != page.height:
            raise ValueError(f"the page has {page.height} rows; got {self._rows}")
        if self._filled:
            self._flush()
        while self._pending:
            self._append(self._pending.popleft().result())
        main, directories = exif_directories(page.exif)
        for tag, entries in directories.items():
            directory = self._directory(tag)
            for inner, value in entries.items():
                directory[inner] = value
            main[tag] = self._put(directory.tobytes(self._position))
        self._put_directory(main | _tags_of(page, self._sizes, self._compression))
        self._page = None

    def _directory(self, group: int | None = None) -> TiffImagePlugin.ImageFileDirectory_v2:
        return TiffImagePlugin.ImageFileDirectory_v2(ifh=self._header, group=group)

    def _put_directory(self, tags: dict[int, Any]) -> None:
        offset = LONG8 if self.big else LONG
        directory = self._directory()
        for tag in (_STRIP_OFFSETS, ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            directory.tagtype[int(tag)] = offset
        for tag, value in (tags | {_STRIP_OFFSETS: (0,) * len(self._offsets)}).items():
            directory[tag] = value
        written = _with_offsets(directory.tobytes(self._position), self._position, self._offsets, self.big)
        code = "<Q" if self.big else "<L"
        at = self._put(written)
        end = self._file.tell()
        self._file.seek(self._link)
        self._file.write(struct.pack(code, at))
        self._file.seek(end)
        entries = struct.unpack_from("<Q" if self.big else "<H", written)[0]
        self._link = at + (8 + 20 * entries if self.big else 2 + 12 * entries)


def tiff_bytes(
    pixels: Levels,
    *,
    icc: bytes,
    xmp: bytes,
    exif: bytes | None,
    dpi: tuple[float, float] | None,
    iptc: bytes | None = None,
    compression: Compression = "deflate",
) -> bytes:
    """The file for uint8 or uint16[H,W,3] (RGB) or [H,W,4] (with alpha). Raises ValueError for others."""
    if pixels.ndim != 3 or pixels.dtype not in _DEPTHS:
        raise ValueError(f"want uint8 or uint16[H,W,3 or 4]; got {pixels.dtype} {pixels.shape}")
    height, width, channels = pixels.shape
    page = TiffPage(width, height, channels, _DEPTHS[pixels.dtype], icc, xmp, exif, dpi, iptc=iptc)
    file = io.BytesIO()
    with TiffWriter(file, bytes_at_most=page.bytes_at_most(compression), compression=compression) as writer:
        writer.page(page)
        writer.write(pixels)
    return file.getvalue()


def _packed(rows: Levels, compression: Compression) -> bytes:
    if compression == "none":
        return rows.astype(rows.dtype.newbyteorder("<"), copy=False).tobytes()
    differences = rows.copy()
    differences[:, 1:] -= rows[:, :-1]
    data = differences.astype(rows.dtype.newbyteorder("<"), copy=False).tobytes()
    return lzw(data) if compression == "lzw" else zlib.compress(data, _LEVEL)


def _tags_of(page: TiffPage, sizes: list[int], compression: Compression) -> dict[int, Any]:
    tags: dict[int, Any] = {
        256: page.width,
        257: page.height,
        258: (page.depth,) * page.channels,
        259: _SCHEMES[compression],
        262: _RGB,
        277: page.channels,
        278: page.strip_rows,
        279: tuple(sizes),
        284: _CHUNKY,
    }
    optional = {270: page.description, 285: page.name, 297: page.number, 700: page.xmp, 34675: page.icc}
    tags |= {tag: value for tag, value in optional.items() if value is not None}
    if page.iptc is not None:
        tags[IPTC_TAG] = tiff_words(page.iptc)
    if compression != "none":
        tags[317] = _DIFFERENCES
    if page.channels == 4:
        tags[338] = _UNASSOCIATED_ALPHA
    if page.number is not None:
        tags[254] = 2  # NewSubfileType: a page of several
    if page.dpi is not None:
        tags |= {282: page.dpi[0], 283: page.dpi[1], 296: _INCH}
    return tags


def _with_offsets(written: bytes, at: int, offsets: list[int], big: bool) -> bytes:
    """A directory that Pillow wrote for the place `at`, with the strips' offsets: Pillow takes them to be
    relative to the directory's end, and ours lie before it."""
    code, count_bytes, entry_bytes = ("Q", 8, 20) if big else ("L", 2, 12)
    packed = struct.pack(f"<{len(offsets)}{code}", *offsets)
    for entry in range(count_bytes, len(written), entry_bytes):
        if struct.unpack_from("<H", written, entry)[0] == _STRIP_OFFSETS:
            field = entry + entry_bytes - struct.calcsize(f"<{code}")
            place = field if len(offsets) == 1 else struct.unpack_from(f"<{code}", written, field)[0] - at
            return written[:place] + packed + written[place + len(packed) :]
    raise AssertionError("the directory has no strip offsets")
