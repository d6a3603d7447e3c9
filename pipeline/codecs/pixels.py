"""Decode a file to upright gray or sRGB pixels of 8 or 16 bits, with its metadata.

Hostile files attack this part, so it runs in a child process (`pipeline.codecs.isolated`) and imports little.
It never returns a partial picture: the result is complete, or an `ImageFailure`.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
)

from pipeline.codecs import deep_pixels, integrity, jp2_source, sniff
from pipeline.codecs.isobmff import primary_nclx
from pipeline.codecs.metadata import orientation
from pipeline.codecs.sample_light import Statement
from pipeline.codecs.statements import bmp_statements, isobmff_statements, png_statements
from pipeline.codecs.tiff.directories import Directory, photographs, read_directories
from pipeline.codecs.tiff.source import TiffSource, read_page
from pipeline.codecs.upright import GRAY_MODES, Levels, Pixels, finish_array, finish_eight
from pipeline.errors import FailureCode, ImageFailure

# Our own limits are checked before anything is decoded, with messages that name their keys.
Image.MAX_IMAGE_PIXELS = None

_PLUGINS: dict[str, type[ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "TIFF": TiffSource,
    "BMP": BmpImagePlugin.BmpImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "JPEG2000": Jpeg2KImagePlugin.Jpeg2KImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
}
_COLOUR_MODES = {"P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "YCbCr", "CMYK"}
_DNG_VERSION = 50706
_BEYOND_PILLOW = ("unsupported", "not supported", "unknown pixel mode", "unknown raw mode")
_CUT_SHORT = ("truncat", "end of file", "eof", "not enough", "unexpected end", "ran out", "too short")


@dataclass(frozen=True)
class DecodeLimits:
    """Limits for one image: `pixels` according to its header, `memory` in bytes for the least that it needs.

    enough: pixels of the longer side that are asked for; a JPEG may then be decoded at 1/2, 1/4 or 1/8, of at
    least twice as many. None: every pixel.
    """

    pixels: int
    memory: int | None = None
    enough: int | None = None


@dataclass(frozen=True)
class NoImage:
    """An object that is not an image and does not claim to be one; `message` says what it is."""

    message: str


def read_pixels(
    data: bytes, key: str, content_type: str | None, limits: DecodeLimits, page: int = 0
) -> Pixels | NoImage:
    """Decode one file in full, or of a TIFF of several pages the one numbered `page`, from 0.

    Raises:
        ImageFailure: NOT_AN_IMAGE, UNSUPPORTED, CORRUPT, TRUNCATED, TOO_LARGE or OUT_OF_MEMORY, with a
            sentence that says what to do where something can be done.
    """
    format_ = sniff.readable_format(data)
    if format_ is None:
        return _no_readable_image(data, key, content_type)
    try:
        return _decode(data, key, format_, limits, page)
    except ImageFailure:
        raise
    except MemoryError:
        raise _out_of_memory(limits) from None
    except Exception as error:  # whatever a hostile file makes a parser raise, the image has failed
        raise _damage(data, format_, error) from error


def _no_readable_image(data: bytes, key: str, content_type: str | None) -> NoImage:
    if (companion := sniff.companion(data, key)) is not None:
        return NoImage(f"not a photograph but a companion file: {companion}")
    if (refused := sniff.refused_format(data, key)) is not None:
        raise _unsupported(f"{refused[0]} is not supported", refused[1])
    if (claim := sniff.claims_image(key, content_type)) is not None:
        raise ImageFailure(FailureCode.NOT_AN_IMAGE, f"{claim}, but {sniff.describe_other(data)}")
    return NoImage(f"not an image: {sniff.describe_other(data)}")


def _decode(data: bytes, key: str, format_: str, limits: DecodeLimits, page: int) -> Pixels:
    if format_ == "PNG":
        integrity.check_png(data)
    elif format_ == "TIFF":
        integrity.check_tiff(data)
    notes: list[str] = []
    stream = integrity.checkable_jpeg(data, notes) if format_ == "JPEG" else io.BytesIO(data)
    image = _plugin(format_)(stream)  # and not `Image.open`, which hides why a file was refused
    frames = _frames(image, data, notes)
    if page or frames.pages[0].index:
        image.seek(frames.pages[page].index)
    bits = _bits(image, data, key)
    _check_size(image.size, image.mode, limits, bits)
    integrity.check_strips(image)
    if format_ == "JPEG" and limits.enough is not None:
        _shrink_on_load(image, limits.enough)
    found = _read(image, data, stream, format_, bits, frames.pages[page], notes)
    found.pages = len(frames.pages)
    if frames.left_out:
        found.meta = replace(found.meta, changes=(*found.meta.changes, *frames.left_out))
    return found


def _shrink_on_load(image: ImageFile.ImageFile, enough: int) -> None:
    """Let libjpeg transform fewer frequencies (Pillow: draft). The means of blocks alias: the last halving is
    left to a filter."""
    scale = max(1, max(image.size) // (2 * enough))
    image.draft(image.mode, (image.width // scale, image.height // scale))


def _read(
    image: ImageFile.ImageFile,
    data: bytes,
    stream: io.BytesIO,
    format_: str,
    bits: int,
    directory: Directory,
    notes: list[str],
) -> Pixels:
    """The pixels of the frame that `image` stands at."""
    statements = _statements(image, data, notes)
    if isinstance(image, TiffSource) and not image.is_plain:
        page = read_page(image, data, directory)
        statements = statements if page.stated is None else [page.stated]
        given = (image, page.levels, page.alpha, format_, statements, notes + page.notes)
        return finish_array(*given, depth=page.depth)
    if format_ == "JPEG2000" and not (source := jp2_source.read_boxes(data)).is_plain:
        samples, alpha = jp2_source.read_samples(data, source)
        return finish_array(image, samples, alpha, format_, statements, notes)
    if bits > 8 and format_ != "JPEG2000":
        pixels, alpha = (_heif_samples if format_ == "HEIF" else deep_pixels.read_deep)(data, format_, bits)
        return finish_array(image, pixels, alpha, format_, statements, notes)
    box = image.tile[0][1] if image.tile else None
    if isinstance(image, TiffSource):
        orientation.note(image)
    image.load()
    if isinstance(stream, integrity.JpegStream):
        stream.check_read_to_end()
    if format_ in ("PNG", "GIF"):
        integrity.check_rows(image, _PLUGINS[format_](io.BytesIO(data)), box or (0, 0, *image.size))
    if bits > 8:
        levels = deep_pixels.widened(np.asarray(image).astype(np.uint16), bits)
        return finish_array(image, levels, None, format_, statements, notes)
    opaque = False
    if isinstance(image, TiffSource) and image.is_jpeg_with_more:
        rule = image.channels(len(image.getbands()))
        opaque, notes = rule.alpha is None, [*notes, *filter(None, [rule.note])]
    return finish_eight(image, format_, statements, notes, opaque=opaque)


def _statements(image: ImageFile.ImageFile, data: bytes, notes: list[str]) -> list[Statement]:
    """What the file says of its samples' light, the most binding first."""
    icc = image.info.get("icc_profile") or None
    if isinstance(image, TiffSource):
        return image.statements()
    if image.format == "PNG":
        return png_statements(integrity.png_chunks(data), icc)
    if image.format == "JPEG2000":
        source = jp2_source.read_boxes(data)
        if source.icc:
            image.info["icc_profile"] = source.icc  # which Pillow does not look for
        return list(source.statements)
    if image.format in ("HEIF", "AVIF"):
        return isobmff_statements(icc, primary_nclx(data))
    if image.format == "BMP":
        return bmp_statements(data, notes)
    return [icc] if icc else []


def _plugin(format_: str) -> type[ImageFile.ImageFile]:
    if format_ == "HEIF":
        from pillow_heif import HeifImageFile  # 20 MB of libraries, for the few that come

        return cast(type[ImageFile.ImageFile], HeifImageFile)
    return _PLUGINS[format_]


def _heif_samples(data: bytes, format_: str, bits: int) -> tuple[Levels, Levels | None]:
    """As `deep_pixels.read_deep`: Pillow's plugin reduces to 8 bits; this interface does not."""
    from pillow_heif import open_heif

    file = open_heif(io.BytesIO(data), convert_hdr_to_8bit=False)
    array = np.asarray(file[file.primary_index])
    return deep_pixels.split(deep_pixels.widened(array if array.ndim == 3 else array[..., None], bits))


def _check_size(size: tuple[int, int], mode: str, limits: DecodeLimits, bits: int) -> None:
    width, height = size
    pixels = width * height
    if pixels > limits.pixels:
        raise ImageFailure(
            FailureCode.TOO_LARGE,
            f"{width} x {height} is {pixels:,} pixels; the limit is {limits.pixels:,}, raise limits.pixels",
        )
    gray = mode in ("1", "L", "F") or mode.startswith("I")
    least = pixels * (2 if gray else 7) * (2 if bits > 8 else 1)  # the library's own copy and ours
    if limits.memory is not None and least > limits.memory:
        raise _out_of_memory(limits)


def _bits(image: ImageFile.ImageFile, data: bytes, key: str) -> int:
    """Bits per sample. Raises UNSUPPORTED for what has other channels than ours, and for camera raw files."""
    bits = 8
    if isinstance(image, TiffSource):
        bits = image.bits
        if _DNG_VERSION in image.tag_v2 or sniff.is_raw_name(key):
            raise _unsupported("a camera raw file is not supported", "develop it to a 16-bit TIFF first")
    elif image.format == "JPEG2000":
        bits = integrity.jpeg2000_bits(data)
        if bits > 16:
            raise _unsupported(f"a JPEG 2000 of {bits} bits is not supported", "convert it to TIFF")
    elif image.format == "PNG":
        bits = data[24]
    elif image.format == "AVIF":
        bits = integrity.avif_bits(data)
    elif image.format == "HEIF":
        bits = int(image.info.get("bit_depth", 8))
    if bits > 8 or (isinstance(image, TiffSource) and not image.is_plain):
        return bits
    if image.mode not in GRAY_MODES | _COLOUR_MODES:
        raise _unsupported(f"{image.mode} pixels are not supported yet", "convert it to gray or RGB")
    return 8


@dataclass(frozen=True)
class _Frames:
    """The frames of a file that are pages, in order, and what is left out, for the ledger."""

    pages: list[Directory]
    left_out: list[str]


def _frames(image: ImageFile.ImageFile, data: bytes, notes: list[str]) -> _Frames:
    """Which frames of the file are pages; of further pictures that are not read it adds a note.

    Raises UNSUPPORTED for a TIFF of nothing but a thumbnail: camera raw files are built so.
    """
    if isinstance(image, TiffSource):
        return _Frames(*photographs(read_directories(io.BytesIO(data))))
    count = getattr(image, "n_frames", 1)
    if count > 1:
        notes.append(f"first of {count} frames")
    elif image.format == "JPEG" and b"MPF\x00" in data[:65536]:
        notes.append("first of several pictures (MPO)")
    return _Frames([Directory(0, {}, {})], [])


def _unsupported(what: str, advice: str) -> ImageFailure:
    return ImageFailure(FailureCode.UNSUPPORTED, f"{what}; {advice}")


def _out_of_memory(limits: DecodeLimits) -> ImageFailure:
    stated = "the available memory" if limits.memory is None else f"limits.memory of {limits.memory:,} bytes"
    return ImageFailure(FailureCode.OUT_OF_MEMORY, f"decoding needs more than {stated}; raise limits.memory")


def _damage(data: bytes, format_: str, error: Exception) -> ImageFailure:
    """CORRUPT or TRUNCATED for what Pillow raised, with its own words."""
    words = " ".join(str(error).split())[:200] or type(error).__name__
    if words == "not identified by this driver":
        words = "its header is invalid"
    if any(sign in words.lower() for sign in _BEYOND_PILLOW):
        return _unsupported(
            f"this kind of {format_} is not supported ({words})",
            "convert it to a TIFF or PNG of the same depth",
        )
    shorter = format_ == "WEBP" and len(data) < int.from_bytes(data[4:8], "little") + 8
    if shorter or isinstance(error, EOFError) or any(sign in words.lower() for sign in _CUT_SHORT):
        return ImageFailure(FailureCode.TRUNCATED, f"the {format_} is cut short: {words}")
    return ImageFailure(FailureCode.CORRUPT, f"the {format_} cannot be decoded: {words}")
