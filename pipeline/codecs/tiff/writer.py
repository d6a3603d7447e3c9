"""A TIFF writer for finished pixels that arrive in rows: TIFF 6.0, or BigTIFF if 4 GiB may not suffice.

Deflate (TIFF technical note 2) or LZW, with horizontal differences (TIFF 6.0, section 14), any number of
pages. tifffile writes the file and imagecodecs compresses. Pillow has no 16-bit RGB, and libvips cannot write
EXIF and GPS directories into a stream.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.codecs.metadata.block import ResultMetadata
from pipeline.codecs.tiff import tags

Levels = NDArray[Any]  # uint8 or uint16
Compression = Literal["deflate", "lzw", "none"]

# libdeflate's levels: of 8 bits, level 2 writes smaller files than zlib's level 3, in a third of the time; of
# 16 bits, whose low byte is noise, level 1 writes files of the same size in two thirds of level 2's time.
_LEVELS = {8: 2, 16: 1}
_STRIP_BYTES = 256 * 1024  # before compression; enough to compress well, small enough to read in part
_LARGEST = 2**32 - 1  # offsets of TIFF 6.0 are 32 bits wide
_PER_STRIP = 16 + 64  # bytes of a strip in the directory, and what deflate adds to noise
_SCHEMES = {"none": 1, "lzw": 5, "deflate": 8}
_DIFFERENCES = 2  # of the tag Predictor
_PAGE_OF_SEVERAL = 2  # of the tag NewSubfileType
_DESCRIPTION, _PAGE_NUMBER = 270, 297
_DEPTHS = {np.dtype(np.uint8): 8, np.dtype(np.uint16): 16}


@dataclass(frozen=True)
class TiffPage:
    """One page: size in pixels, 3 (RGB) or 4 channels (with alpha), 8 or 16 bits, and its metadata.

    number: (index from 0, pages in all) of a page of several.
    """

    width: int
    height: int
    channels: int
    depth: int
    metadata: ResultMetadata | None = None
    number: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.channels not in (3, 4) or self.depth not in (8, 16) or self.width < 1 or self.height < 1:
            raise ValueError(
                f"no such page: {self.width} x {self.height} x {self.channels} of {self.depth} bits"
            )

    @property
    def dtype(self) -> type[np.uint8] | type[np.uint16]:
        """The type of its samples."""
        return np.uint8 if self.depth == 8 else np.uint16

    @property
    def row_bytes(self) -> int:
        """Bytes of one row of pixels."""
        return self.width * self.channels * (self.depth // 8)

    @property
    def strip_rows(self) -> int:
        """Rows of one strip."""
        return min(max(1, _STRIP_BYTES // self.row_bytes), self.height)

    def bytes_at_most(self, compression: Compression = "deflate") -> int:
        """The bytes of the page in the file if nothing of it can be compressed."""
        metadata = self.metadata
        parts = () if metadata is None else (metadata.icc, metadata.xmp, metadata.exif, metadata.iptc)
        beside = sum(len(part) for part in parts if part is not None)
        strips = -(-self.height // self.strip_rows)
        pixels = self.row_bytes * self.height
        # LZW: each byte a code of 12 bits, and the clear codes between them
        pixels += pixels // 2 + pixels // 1024 if compression == "lzw" else pixels // 1000
        return pixels + strips * _PER_STRIP + beside + 2**20


class TiffWriter:
    """Writes pages into a binary file that is empty and open for reading and writing.

    bytes_at_most: the sum over all pages to come of theirs; over 4 GiB, the file is a BigTIFF.
    threads: how many strips are compressed at a time; the bytes do not depend on it. It holds `threads + 2`
    strips, and the offset and size of every strip of the page. Call `close` after the last page.
    """

    def __init__(
        self,
        file: BinaryIO,
        *,
        bytes_at_most: int,
        compression: Compression = "deflate",
        threads: int = 1,
    ) -> None:
        import tifffile  # half a second, for the runs that write this format

        self.big = bytes_at_most > _LARGEST
        self._file, self._compression, self._threads = file, compression, threads
        self._tiff = tifffile.TiffWriter(file, bigtiff=self.big, byteorder="<", ome=False, shaped=False)

    def write(self, page: TiffPage, rows: Iterable[Levels]) -> None:
        """Write one page.

        Args:
            rows: from the top down, arrays uint8 or uint16[n,W,channels] of any n; taken one at a time.

        Raises:
            ValueError: they do not fit the page, or the file would pass 4 GiB unannounced.
        """
        extra, description = self._extra_tags(page)
        start = tags.even_end(self._file)
        compressed = self._compressed(page, rows)
        self._tiff.write(
            compressed,
            shape=(page.height, page.width, page.channels),
            dtype=page.dtype,
            photometric="rgb",
            planarconfig="contig",
            extrasamples=("unassalpha",) if page.channels == 4 else None,
            compression=_SCHEMES[self._compression],
            predictor=_DIFFERENCES if self._compression != "none" else None,
            rowsperstrip=page.strip_rows,
            resolution=None if page.metadata is None else page.metadata.dpi,
            subfiletype=_PAGE_OF_SEVERAL if page.number is not None else None,
            extratags=extra,
            metadata=None,
            software=False,
        )
        next(compressed, None)  # raises ValueError for rows too many
        if description:  # tifffile counts its bytes up to the first two zeros
            tags.set_count(self._file, start, _DESCRIPTION, description, self.big)

    def close(self) -> None:
        """Finish the file, which stays open."""
        self._tiff.close()
        tags.remove_unstated_resolutions(self._file)

    def _extra_tags(self, page: TiffPage) -> tuple[list[tuple[Any, ...]], int]:
        """Tags in the form of tifffile, and the length of the description where it has one."""
        values, pointers = tags.append_directories(self._file, page.metadata, self.big)
        for tag in tags.RESOLUTION:
            values.pop(tag, None)
        if page.number is not None:
            values[_PAGE_NUMBER] = page.number
        extra: list[tuple[Any, ...]] = list(tags.fields(values))
        # Tags that point to directories are written only by their names.
        extra += [(name, tags.LONG8 if self.big else tags.LONG, 1, at) for name, at in pointers.items()]
        return extra, next((count for tag, _, count, _ in extra if tag == _DESCRIPTION), 0)

    def _compressed(self, page: TiffPage, rows: Iterable[Levels]) -> Iterator[bytes]:
        compress = _compressor(self._compression, page.depth)
        for data in _in_order(compress, _strips(rows, page), self._threads):
            yield data
            if not self.big and self._file.tell() > _LARGEST:
                raise ValueError("the file would be larger than 4 GiB")


def tiff_bytes(pixels: Levels, metadata: ResultMetadata, compression: Compression = "deflate") -> bytes:
    """The file for uint8 or uint16[H,W,3] (RGB) or [H,W,4] (with alpha). Raises ValueError for others."""
    if pixels.ndim != 3 or pixels.dtype not in _DEPTHS:
        raise ValueError(f"expected uint8 or uint16[H,W,3 or 4]; got {pixels.dtype} {pixels.shape}")
    height, width, channels = pixels.shape
    page = TiffPage(width, height, channels, _DEPTHS[pixels.dtype], metadata)
    file = io.BytesIO()
    writer = TiffWriter(file, bytes_at_most=page.bytes_at_most(compression), compression=compression)
    writer.write(page, [pixels])
    writer.close()
    return file.getvalue()


def _strips(rows: Iterable[Levels], page: TiffPage) -> Iterator[Levels]:
    """The rows in arrays of `strip_rows`, the last one shorter. Raises ValueError where they do not fit."""
    shape = (page.strip_rows, page.width, page.channels)
    strip, filled, total = np.empty(shape, page.dtype), 0, 0
    for part in rows:
        if part.dtype != page.dtype or part.shape[1:] != shape[1:]:
            raise ValueError(
                f"rows {part.dtype} {part.shape} do not fit the page {shape} of {page.depth} bits"
            )
        total += len(part)
        if total > page.height:
            raise ValueError(f"the page has {page.height} rows; got {total}")
        while len(part):
            taken = min(len(part), len(strip) - filled)
            strip[filled : filled + taken] = part[:taken]
            filled, part = filled + taken, part[taken:]
            if filled == len(strip):
                yield strip
                strip, filled = np.empty(shape, page.dtype), 0
    if total != page.height:
        raise ValueError(f"the page has {page.height} rows; got {total}")
    if filled:
        yield strip[:filled]


def _compressor(compression: Compression, depth: int) -> Callable[[Levels], bytes]:
    """What packs one strip."""
    if compression == "none":
        return _little_endian
    import imagecodecs

    def packed(strip: Levels) -> bytes:
        differences = _little_endian(imagecodecs.delta_encode(strip, axis=-2))
        if compression == "lzw":
            return bytes(imagecodecs.lzw_encode(differences))
        return bytes(imagecodecs.deflate_encode(differences, _LEVELS[depth]))

    return packed


def _little_endian(strip: Levels) -> bytes:
    return strip.astype(strip.dtype.newbyteorder("<"), copy=False).tobytes()


def _in_order(function: Callable[[Levels], bytes], strips: Iterable[Levels], threads: int) -> Iterator[bytes]:
    """The results in the order of the strips, of which no more than `threads + 1` are under way."""
    if threads == 1:
        yield from map(function, strips)
        return
    pending: deque[Future[bytes]] = deque()
    with ThreadPoolExecutor(threads, "tiff") as pool:
        for strip in strips:
            pending.append(pool.submit(function, strip))
            if len(pending) > threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
