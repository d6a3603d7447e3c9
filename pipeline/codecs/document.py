"""A TIFF of several pages: every coloured page of a source, each with its own metadata."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable
from typing import NamedTuple

from pipeline.codecs.encode import Levels, Source, stacked
from pipeline.codecs.metadata.block import result_metadata
from pipeline.codecs.metadata.xmp import Provenance
from pipeline.codecs.tiff.writer import Compression, TiffPage, TiffWriter
from pipeline.errors import FailureCode, ImageFailure


class Page(NamedTuple):
    """One page to write: `rgb` uint8 or uint16[H,W,3] in the space of `icc`, sRGB where that is None."""

    rgb: Levels
    source: Source
    icc: bytes | None


def encode_pages(
    pages: Iterable[Page],
    count: int,
    provenance: Provenance,
    listed: list[str] | None = None,
    compression: Compression = "deflate",
) -> bytes:
    """Encode a TIFF of `count` pages, which are read one at a time.

    Args:
        listed: changed or omitted metadata of the pages is appended here.

    Raises:
        ImageFailure: ENCODE_FAILED where a TIFF cannot hold them.
    """
    file, writer = io.BytesIO(), None
    try:
        for number, page in enumerate(pages):
            pixels = stacked(page.rgb, page.source.alpha)
            height, width, channels = pixels.shape
            metadata = result_metadata(page.source.meta, page.icc, "tiff", provenance)
            if listed is not None:
                listed.extend(f"page {number + 1}: {change}" for change in metadata.changes)
            tiff_page = TiffPage(width, height, channels, 8 * pixels.itemsize, metadata, (number, count))
            if writer is None:
                most = tiff_page.bytes_at_most(compression) * count
                writer = TiffWriter(file, bytes_at_most=most, compression=compression)
            writer.write(tiff_page, [pixels])
        if writer is None:
            raise ValueError("there is no page")
        writer.close()
    except (OSError, ValueError, TypeError, OverflowError, struct.error) as error:
        words = " ".join(str(error).split())
        raise ImageFailure(FailureCode.ENCODE_FAILED, f"cannot be written as tiff: {words}") from error
    return file.getvalue()
