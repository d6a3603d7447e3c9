"""Finished pixels to the bytes of a file: same pixels and metadata, same bytes, at any time and place."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from pipeline.codecs.deep import png16_bytes
from pipeline.codecs.integrity import png_parts
from pipeline.codecs.metadata import Provenance, xmp_packet
from pipeline.codecs.pixels import SourceMeta
from pipeline.codecs.profiles import examine, srgb_profile
from pipeline.codecs.tiff import tiff_bytes
from pipeline.config import OutputConfig
from pipeline.errors import FailureCode, ImageFailure

U8 = NDArray[np.uint8]
Levels = NDArray[Any]  # uint8, or uint16 where the format holds it

# From here on the eye of a viewer who chose quality would see coarser chroma, which is all that we add.
_FULL_CHROMA_QUALITY = 90
# zlib-ng's level 3 writes twice as fast as Pillow's default of 6, for files 3 percent larger.
_PNG_LEVEL = 3
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_PIXELS = (b"IHDR", b"IDAT", b"IEND")
_WEBP_METHOD = 4
_LARGEST_SIDE = {"jpeg": 65_500, "webp": 16_383}


class Source(Protocol):
    """The part of `everyday.Decoded` that encoding needs."""

    @property
    def alpha(self) -> U8 | None: ...

    @property
    def meta(self) -> SourceMeta: ...


def encode(
    rgb: Levels, source: Source, icc: bytes | None, output: OutputConfig, provenance: Provenance
) -> bytes:
    """Encode a colour image with its profile, the source's EXIF and resolution, and XMP about its making.

    Args:
        rgb: uint8[H,W,3] in the space of `icc`, sRGB where that is None; uint16 for PNG and TIFF.
        source: alpha (laid on white where the format has none) and metadata of the source.

    Raises:
        ImageFailure: ENCODE_FAILED where the format cannot hold the image.
    """
    largest = _LARGEST_SIDE.get(output.format)
    if largest is not None and max(rgb.shape[:2]) > largest:
        size = f"{rgb.shape[1]} x {rgb.shape[0]}"
        advice = f"{output.format} holds at most {largest:,} pixels a side; set output.format to tiff"
        raise ImageFailure(FailureCode.ENCODE_FAILED, f"{size}: {advice}")
    buffer = io.BytesIO()
    options: dict[str, Any] = {"icc_profile": icc or srgb_of(source.meta)}
    if source.meta.dpi is not None:
        options["dpi"] = source.meta.dpi
    try:
        _WRITERS[output.format](rgb, source, output, xmp_packet(provenance, source.meta.xmp), options, buffer)
    except (OSError, ValueError, TypeError, SyntaxError, OverflowError, RuntimeError, struct.error) as error:
        words = " ".join(str(error).split()) or type(error).__name__
        raise ImageFailure(
            FailureCode.ENCODE_FAILED, f"cannot be written as {output.format}: {words}"
        ) from error
    return buffer.getvalue()


def srgb_of(meta: SourceMeta) -> bytes:
    """The source's own sRGB profile, else ours."""
    return meta.icc if meta.icc is not None and examine(meta.icc).is_srgb else srgb_profile()


def _jpeg(
    rgb8: U8, source: Source, output: OutputConfig, xmp: bytes, options: dict[str, Any], to: io.BytesIO
) -> None:
    subsampling = "4:4:4" if output.quality >= _FULL_CHROMA_QUALITY else "4:2:0"
    exif = source.meta.exif or b""
    image = Image.fromarray(rgb8 if source.alpha is None else _on_white(rgb8, source.alpha))
    image.save(to, "JPEG", quality=output.quality, subsampling=subsampling, xmp=xmp, exif=exif, **options)


def _png(
    rgb: Levels, source: Source, output: OutputConfig, xmp: bytes, options: dict[str, Any], to: io.BytesIO
) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8"))
    exif = source.meta.exif or b""
    deep = rgb.dtype == np.uint16
    image = Image.new("RGB", (1, 1)) if deep else _with_alpha(rgb, source.alpha)
    image.save(to, "PNG", compress_level=_PNG_LEVEL, pnginfo=text, exif=exif, **options)
    if deep:
        said = [chunk for chunk in png_parts(to.getvalue()) if chunk[4:8] not in _PNG_PIXELS]
        shown = png_parts(png16_bytes(stacked(rgb, source.alpha), _PNG_LEVEL))
        pixels = [chunk for chunk in shown if chunk[4:8] in _PNG_PIXELS]
        to.seek(0)
        to.truncate()
        to.write(_PNG_SIGNATURE + b"".join([pixels[0], *said, *pixels[1:]]))


def _webp(
    rgb8: U8, source: Source, output: OutputConfig, xmp: bytes, options: dict[str, Any], to: io.BytesIO
) -> None:
    options.pop("dpi", None)  # the format has no field for it
    exif = source.meta.exif or b""
    image = _with_alpha(rgb8, source.alpha)
    image.save(
        to, "WEBP", quality=output.quality, method=_WEBP_METHOD, exact=True, xmp=xmp, exif=exif, **options
    )


def _tiff(
    rgb: Levels, source: Source, output: OutputConfig, xmp: bytes, options: dict[str, Any], to: io.BytesIO
) -> None:
    pixels = stacked(rgb, source.alpha)
    meta = source.meta
    to.write(tiff_bytes(pixels, icc=options["icc_profile"], xmp=xmp, exif=meta.exif, dpi=meta.dpi))


_Writer = Callable[[Levels, Source, OutputConfig, bytes, dict[str, Any], io.BytesIO], None]
_WRITERS: dict[str, _Writer] = {"jpeg": _jpeg, "png": _png, "webp": _webp, "tiff": _tiff}


def stacked(rgb: Levels, alpha: U8 | None) -> Levels:
    """The pixels with alpha uint8[H,W] as a fourth channel of their depth, where there is one."""
    if alpha is None:
        return rgb
    return np.dstack([rgb, alpha if rgb.dtype == np.uint8 else alpha.astype(np.uint16) * 257])


def _with_alpha(rgb8: U8, alpha: U8 | None) -> Image.Image:
    return Image.fromarray(stacked(rgb8, alpha))


def _on_white(rgb8: U8, alpha: U8) -> U8:
    cover = alpha[..., None].astype(np.float32) / 255
    return np.rint(rgb8 * cover + 255 * (1 - cover)).astype(np.uint8)
