"""Files of several pages: every page of a TIFF that was coloured, in one TIFF, each with its own metadata."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from pipeline.codecs.encode import Levels, Source, srgb_of, stacked
from pipeline.codecs.metadata import Provenance, xmp_packet
from pipeline.codecs.tiff import TiffPage, TiffWriter
from pipeline.errors import FailureCode, ImageFailure


class Page(NamedTuple):
    """One page to write: `rgb` uint8 or uint16[H,W,3] in the space of `icc`, sRGB where that is None."""

    rgb: Levels
    source: Source
    icc: bytes | None


def encode_pages(pages: Iterable[Page], count: int, provenance: Provenance) -> bytes:
    """The TIFF of `count` pages, which are taken one at a time.

    Raises:
        ImageFailure: ENCODE_FAILED where a TIFF cannot hold them.
    """
    file, writer = io.BytesIO(), None
    try:
        for number, page in enumerate(pages):
            pixels = stacked(page.rgb, page.source.alpha)
            described = _described(pixels, page, provenance, (number, count))
            if writer is None:
                writer = TiffWriter(file, bytes_at_most=described.bytes_at_most * count)
            writer.page(described)
            writer.write(pixels)
        if writer is None:
            raise ValueError("there is no page")
        writer.close()
    except (OSError, ValueError, TypeError, OverflowError, struct.error) as error:
        words = " ".join(str(error).split())
        raise ImageFailure(FailureCode.ENCODE_FAILED, f"cannot be written as tiff: {words}") from error
    return file.getvalue()


def _described(pixels: Levels, page: Page, provenance: Provenance, number: tuple[int, int]) -> TiffPage:
    height, width, channels = pixels.shape
    meta = page.source.meta
    return TiffPage(
        width,
        height,
        channels,
        16 if pixels.dtype == np.uint16 else 8,
        icc=page.icc or srgb_of(meta),
        xmp=xmp_packet(provenance, meta.xmp),
        exif=meta.exif,
        dpi=meta.dpi,
        number=number,
    )
