"""Encode finished pixels as a file. The same pixels and metadata always give the same bytes."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from pipeline.codecs.integrity import png_parts
from pipeline.codecs.jp2 import jp2_bytes
from pipeline.codecs.jpeg import jpeg_bytes
from pipeline.codecs.metadata.block import ResultMetadata, SourceMeta, result_metadata
from pipeline.codecs.metadata.iptc import photoshop_segment, png_text
from pipeline.codecs.metadata.profiles import examine
from pipeline.codecs.metadata.xmp import Provenance, xmp_segments
from pipeline.codecs.png import SIGNATURE, png_data, png_header
from pipeline.codecs.tiff.writer import tiff_bytes
from pipeline.config.output import OutputConfig
from pipeline.errors import FailureCode, ImageFailure

U8 = NDArray[np.uint8]
Levels = NDArray[Any]  # uint8, or uint16 where the format holds it

# From this quality on, a viewer would notice chroma subsampling, and chroma is all that we add.
_FULL_CHROMA_QUALITY = 90
_PNG_PIXELS = (b"IHDR", b"IDAT", b"IEND")
_WEBP_METHOD = 4
_LARGEST_SIDE = {"jpeg": 65_500, "webp": 16_383}


class Source(Protocol):
    """The part of `in_memory.Decoded` that encoding needs."""

    @property
    def alpha(self) -> Levels | None: ...

    @property
    def meta(self) -> SourceMeta: ...


def encode(
    rgb: Levels,
    source: Source,
    icc: bytes | None,
    output: OutputConfig,
    provenance: Provenance | None,
    listed: list[str] | None = None,
) -> bytes:
    """Encode a colour image with its profile, the source's metadata, and XMP that says how it was made.

    Args:
        rgb: uint8[H,W,3] in the space of `icc`, sRGB where that is None; uint16 for PNG, TIFF and JP2.
        source: alpha (flattened on white if the format has none) and metadata of the source.
        provenance: None if the metadata come from one of our results and include it already.
        listed: changed or omitted metadata is appended here.

    Raises:
        ImageFailure: ENCODE_FAILED where the format cannot hold the image.
    """
    largest = _LARGEST_SIDE.get(output.format)
    if largest is not None and max(rgb.shape[:2]) > largest:
        size = f"{rgb.shape[1]} x {rgb.shape[0]}"
        advice = f"{output.format} holds at most {largest:,} pixels a side; set output.format to tiff"
        raise ImageFailure(FailureCode.ENCODE_FAILED, f"{size}: {advice}")
    buffer = io.BytesIO()
    try:
        pixels = (rgb.shape[1], rgb.shape[0])
        metadata = result_metadata(source.meta, icc, output.format, provenance, pixels)
        _WRITERS[output.format](rgb, source.alpha, output, metadata, buffer)
    except (OSError, ValueError, TypeError, SyntaxError, OverflowError, RuntimeError, struct.error) as error:
        words = " ".join(str(error).split()) or type(error).__name__
        raise ImageFailure(
            FailureCode.ENCODE_FAILED, f"cannot be written as {output.format}: {words}"
        ) from error
    if listed is not None:
        listed.extend(metadata.changes)
    return buffer.getvalue()


def _options(metadata: ResultMetadata) -> dict[str, Any]:
    """Options with the same name in Pillow's writers for all formats."""
    options: dict[str, Any] = {"icc_profile": metadata.icc, "exif": metadata.exif or b""}
    return options if metadata.dpi is None else {**options, "dpi": metadata.dpi}


def _jpeg(
    rgb8: U8, alpha: Levels | None, output: OutputConfig, metadata: ResultMetadata, to: io.BytesIO
) -> None:
    subsampling: str = output.subsampling
    if subsampling == "auto":
        subsampling = "4:4:4" if output.quality >= _FULL_CHROMA_QUALITY else "4:2:0"
    segments = xmp_segments(metadata.xmp, metadata.xmp_extended)
    if metadata.iptc is not None:
        segments += photoshop_segment(metadata.iptc)
    options = {**_options(metadata), "comment": metadata.comment}
    pixels = rgb8 if alpha is None else _on_white(rgb8, alpha)
    to.write(jpeg_bytes(pixels, quality=output.quality, subsampling=subsampling, extra=segments, **options))


def _png(
    rgb: Levels, alpha: Levels | None, output: OutputConfig, metadata: ResultMetadata, to: io.BytesIO
) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", metadata.xmp.decode("utf-8"))
    for key, value in metadata.text:
        text.add_text(key, value)
    if metadata.iptc is not None:
        text.add_text(*png_text(metadata.iptc), zip=True)
    other = io.BytesIO()  # Pillow writes the metadata, beside one pixel of its own
    Image.new("RGB", (1, 1)).save(other, "PNG", pnginfo=text, **_options(metadata))
    beside = [chunk for chunk in png_parts(other.getvalue()) if chunk[4:8] not in _PNG_PIXELS]
    pixels = stacked(rgb, alpha)
    to.write(b"".join([SIGNATURE, png_header(pixels), *beside, png_data(pixels)]))


def _webp(
    rgb8: U8, alpha: Levels | None, output: OutputConfig, metadata: ResultMetadata, to: io.BytesIO
) -> None:
    options = {"quality": output.quality, "method": _WEBP_METHOD, "exact": True, "xmp": metadata.xmp}
    _with_alpha(rgb8, alpha).save(to, "WEBP", **options, **_options(metadata))


def _tiff(
    rgb: Levels, alpha: Levels | None, output: OutputConfig, metadata: ResultMetadata, to: io.BytesIO
) -> None:
    to.write(tiff_bytes(stacked(rgb, alpha), metadata, output.tiff_compression))


def _jp2(
    rgb: Levels, alpha: Levels | None, output: OutputConfig, metadata: ResultMetadata, to: io.BytesIO
) -> None:
    written = jp2_bytes(
        stacked(rgb, alpha),
        icc=None if examine(metadata.icc).is_srgb else metadata.icc,
        xmp=metadata.xmp,
        exif=metadata.exif,
        iptc=metadata.iptc,
        dpi=metadata.dpi,
    )
    to.write(written)


_Writer = Callable[[Levels, U8 | None, OutputConfig, ResultMetadata, io.BytesIO], None]
_WRITERS: dict[str, _Writer] = {"jpeg": _jpeg, "png": _png, "webp": _webp, "tiff": _tiff, "jp2": _jp2}


def stacked(rgb: Levels, alpha: Levels | None) -> Levels:
    """The pixels with alpha, uint8 or uint16[H,W], as a fourth channel of their depth, where there is one."""
    if alpha is None:
        return rgb
    if rgb.dtype == np.uint8:
        return np.dstack([rgb, eight_bits(alpha)])
    return np.dstack([rgb, alpha if alpha.dtype == np.uint16 else alpha.astype(np.uint16) * 257])


def eight_bits(alpha: Levels) -> U8:
    """Alpha of either depth as uint8."""
    if alpha.dtype == np.uint8:
        return alpha
    return np.rint(alpha / np.float32(257)).astype(np.uint8)


def _with_alpha(rgb8: U8, alpha: Levels | None) -> Image.Image:
    return Image.fromarray(stacked(rgb8, alpha))


def _on_white(rgb8: U8, alpha: Levels) -> U8:
    cover = alpha[..., None].astype(np.float32) / np.iinfo(alpha.dtype).max
    return np.rint(rgb8 * cover + 255 * (1 - cover)).astype(np.uint8)
