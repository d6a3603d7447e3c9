"""A table of what comes out of decoder, composition and encoder for every kind of source file.

python -m tests.support.formats_table > docs/formats.md
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pillow_heif
import pyvips
import tifffile
from PIL import Image, PngImagePlugin, TiffImagePlugin

from pipeline.codecs.in_memory import Decoded, Skip, encode
from pipeline.codecs.isolated.image import IsolatedDecoder
from pipeline.codecs.jp2 import jp2_bytes
from pipeline.codecs.metadata.profiles import srgb_profile
from pipeline.codecs.metadata.xmp import Provenance
from pipeline.codecs.pixels import DecodeLimits
from pipeline.config.output import OutputConfig
from pipeline.errors import ImageFailure
from pipeline.shard.compose import compose
from tests.support import icc_profiles
from tests.support.samples import photo, toned

GRAY = photo(120, 90)
GRAY16 = GRAY.astype(np.uint16) * 257
DPI = 300.0
WORDS = "a street in 1908"
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" '
    b'photoshop:City="Salford"/></rdf:RDF></x:xmpmeta>'
)
MADE_BY = Provenance("compositeWithTrainedAlgorithmicMedia", "unet", "0" * 64, "Fiat Color", "scan", "0" * 64)


def _exif(orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = WORDS, orientation
    return exif.tobytes()


def _pillow(image: Image.Image, format_: str, **options: Any) -> bytes:
    message: dict[str, Any] = {"icc_profile": srgb_profile() if image.mode == "RGB" else None}
    if format_ == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", XMP.decode())
        message |= {"exif": _exif(), "pnginfo": text, "dpi": (DPI, DPI)}
    elif format_ == "TIFF":
        tags = TiffImagePlugin.ImageFileDirectory_v2()
        tags[270], tags[700] = WORDS, XMP
        message |= {"tiffinfo": tags, "dpi": (DPI, DPI)}
    elif format_ == "JPEG":
        message |= {"exif": _exif(), "xmp": XMP, "dpi": (DPI, DPI)}
    elif format_ == "AVIF":
        message |= {"exif": _exif(), "xmp": XMP}
    buffer = io.BytesIO()
    image.save(buffer, format_, **{k: v for k, v in (message | options).items() if v is not None})
    return buffer.getvalue()


def _heic(image: Any) -> bytes:
    buffer = io.BytesIO()
    output = image if isinstance(image, pillow_heif.HeifFile) else pillow_heif.from_pillow(image)
    output.save(buffer, quality=90, exif=_exif(), xmp=XMP, icc_profile=srgb_profile())
    return buffer.getvalue()


def _linear_heic(image: Image.Image) -> bytes:
    buffer, linear = io.BytesIO(), 8
    pillow_heif.from_pillow(image).save(buffer, quality=90, exif=_exif(), transfer_characteristics=linear)
    return buffer.getvalue()


def _gamma_bmp(image: Image.Image) -> bytes:
    plain = _pillow(image, "BMP", dpi=(DPI, DPI))
    header = (
        (108).to_bytes(4, "little") + plain[18:54] + bytes(16 + 4 + 36) + struct.pack("<3L", *[117_965] * 3)
    )
    return plain[:10] + (14 + 108).to_bytes(4, "little") + header + plain[54:]


def _tiff(array: Any, *, more_tags: list[Any] | None = None, **options: Any) -> bytes:
    """A TIFF of a kind that libvips does not write."""
    file, tags = io.BytesIO(), [(700, 1, len(XMP), XMP, True), *(more_tags or [])]
    tifffile.imwrite(
        file, array, description=WORDS, resolution=(DPI, DPI), resolutionunit=2, extratags=tags, **options
    )
    return file.getvalue()


def _vips(array: Any, suffix: str, **options: Any) -> bytes:
    image = pyvips.Image.new_from_array(np.ascontiguousarray(array))
    if array.dtype == np.uint16:
        image = image.copy(interpretation="rgb16" if array.ndim == 3 else "grey16")
    image = image.copy(xres=DPI / 25.4, yres=DPI / 25.4)
    image.set_type(pyvips.GValue.blob_type, "xmp-data", XMP)
    if array.ndim == 3:
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", srgb_profile())
    image.set_type(pyvips.GValue.gstr_type, "image-description", WORDS)
    image.set_type(pyvips.GValue.gstr_type, "exif-ifd0-ImageDescription", WORDS)
    return bytes(image.write_to_buffer(suffix, **options))


def sources() -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Name and maker of each kind of file; the picture is the same 90 x 120 pixels in all."""
    gray, rgb = Image.fromarray(GRAY), Image.fromarray(GRAY).convert("RGB")
    rgb16, tiled = np.dstack([GRAY16] * 3), {"tile": True, "tile_width": 64, "tile_height": 64}
    palette, unit = rgb.quantize(64), (GRAY / 255).astype(np.float32)
    alpha = {"photometric": "minisblack", "extrasamples": ["unassalpha"]}
    yield "JPEG, gray", lambda: _pillow(gray, "JPEG", quality=95)
    yield "JPEG, progressive", lambda: _pillow(gray, "JPEG", progressive=True)
    yield "JPEG, EXIF orientation 6", lambda: _pillow(gray, "JPEG", exif=_exif(6))
    yield "JPEG, sepia", lambda: _pillow(Image.fromarray(toned(GRAY)), "JPEG", quality=95)
    yield "JPEG, CMYK", lambda: _pillow(rgb.convert("CMYK"), "JPEG")
    yield "PNG, gray", lambda: _pillow(gray, "PNG")
    yield "PNG, gray and alpha", lambda: _pillow(gray.convert("LA"), "PNG")
    yield "PNG, palette", lambda: _pillow(palette, "PNG")
    yield "PNG, 16 bits", lambda: _vips(GRAY16, ".png", bitdepth=16)
    yield "TIFF, gray", lambda: _pillow(gray, "TIFF", compression="tiff_adobe_deflate")
    yield "TIFF, bilevel (G4)", lambda: _pillow(gray.convert("1"), "TIFF", compression="group4")
    yield "TIFF, CMYK", lambda: _pillow(rgb.convert("CMYK"), "TIFF")
    yield "TIFF, 16 bits", lambda: _vips(GRAY16, ".tif")
    yield "TIFF, 16 bits, min-is-white", lambda: _vips(GRAY16, ".tif", miniswhite=True)
    yield "TIFF, 16 bits, tiled", lambda: _vips(GRAY16, ".tif", **tiled)
    yield "BigTIFF, 16 bits", lambda: _vips(GRAY16, ".tif", bigtiff=True)
    yield "TIFF, 48-bit RGB", lambda: _vips(rgb16, ".tif")
    yield "TIFF, floating point", lambda: _vips((GRAY / 255).astype(np.float32), ".tif")
    yield "TIFF, floating point, min-is-white", lambda: _tiff(unit, photometric="miniswhite")
    yield "TIFF, 48-bit RGB, floating point", lambda: _tiff(np.dstack([unit] * 3), photometric="rgb")
    yield "TIFF, 16 bits and alpha", lambda: _tiff(np.dstack([GRAY16, GRAY16]), **alpha)
    yield "TIFF, 64-bit CMYK", lambda: _tiff(np.dstack([GRAY16] * 4), photometric="separated")
    yield "TIFF, 2 pages", lambda: _pillow(gray, "TIFF", save_all=True, append_images=[gray])
    yield "TIFF, cut short", lambda: _vips(GRAY16, ".tif")[:9000]
    yield "JPEG 2000", lambda: _pillow(gray, "JPEG2000")
    yield "JPEG 2000, 16 bits", lambda: _pillow(Image.fromarray(GRAY16), "JPEG2000")
    yield "WebP", lambda: _pillow(rgb, "WEBP", lossless=True, exif=_exif(), xmp=XMP)
    yield "HEIC", lambda: _heic(rgb)
    yield "HEIC, 10 bits", lambda: _heic(pillow_heif.from_bytes("RGB;16", (90, 120), rgb16.tobytes()))
    yield "AVIF, 10 bits", lambda: _vips(rgb16, ".avif", bitdepth=10, Q=95)
    yield from _as_archives_hold_them()
    yield "AVIF", lambda: _pillow(rgb, "AVIF", quality=95)
    yield "HEIC, linear light by its nclx", lambda: _linear_heic(rgb)
    yield "BMP, gamma 1.8 in its header", lambda: _gamma_bmp(rgb)
    yield "TIFF, ITULAB", lambda: _tiff(np.dstack([GRAY, GRAY * 0 + 128, GRAY * 0 + 96]), photometric=10)


def _as_archives_hold_them() -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Kinds of files that scanners and old programs wrote."""
    lightness = np.dstack([GRAY, np.zeros_like(GRAY), np.zeros_like(GRAY)])
    infrared = np.dstack([GRAY] * 4)
    rising = np.repeat(np.arange(256, dtype=np.uint16)[None], 3, axis=0)
    linear = [(301, 3, 256, np.arange(256, dtype=np.uint16) * 257, True)]
    dot_gain = icc_profiles.gray_profile(icc_profiles.sampled(icc_profiles.dot_gain(20)))
    gama = b"gAMA" + (55_556).to_bytes(4, "big")
    chunk = b"\0\0\0\4" + gama + zlib.crc32(gama).to_bytes(4, "big")
    png = _pillow(Image.fromarray(GRAY), "PNG")
    yield "JPEG without its end marker", lambda: _pillow(Image.fromarray(GRAY), "JPEG")[:-2]
    yield "PNG, gAMA 0.55556", lambda: png[:33] + chunk + png[33:]
    yield "TIFF, gray, dot gain 20 %", lambda: _tiff(GRAY, iccprofile=dot_gain)
    yield "TIFF, TransferFunction", lambda: _tiff(GRAY, more_tags=linear)
    yield "TIFF, palette of 8-bit values", lambda: _tiff(GRAY, photometric="palette", colormap=rising)
    yield "TIFF, CIELAB", lambda: _tiff(lightness, photometric=8)
    yield "TIFF, RGB and infrared", lambda: _tiff(infrared, photometric="rgb", extrasamples=[0])
    yield "TIFF, thumbnail first", lambda: _with_thumbnail(GRAY)
    yield "BigTIFF, big-endian", lambda: _tiff(GRAY16, bigtiff=True, byteorder=">")
    yield "JPEG 2000, 48-bit RGB", lambda: jp2_bytes(np.dstack([GRAY16] * 3))


def _with_thumbnail(array: Any) -> bytes:
    file = io.BytesIO()
    tags = [(700, 1, len(XMP), XMP, True)]
    with tifffile.TiffWriter(file) as writer:
        writer.write(array[::4, ::4], photometric="minisblack", subfiletype=1, metadata=None)
        message: dict[str, Any] = {"description": WORDS, "resolution": (DPI, DPI), "resolutionunit": 2}
        writer.write(array, photometric="minisblack", extratags=tags, metadata=None, **message)
    return file.getvalue()


@dataclass(frozen=True)
class Outcome:
    """One row. `kept`: by column, None if the source has no such thing; `said`: why it failed, or a note."""

    name: str
    decoded: bool
    kept: dict[str, bool | None]
    max_delta_l: float | None
    said: str


COLUMNS = ("depth", "size", "ICC", "EXIF", "XMP", "DPI")


def outcome(name: str, data: bytes, decoder: IsolatedDecoder) -> Outcome:
    """The file after the decoder's child, composition and a TIFF encoder, read with Pillow and libvips."""
    try:
        result = decoder.decode(
            data, "scan", None, DecodeLimits(10**7), model_side=64, skip_color=True, color_threshold=3.0
        )
    except ImageFailure as failure:
        return Outcome(name, False, {}, None, f"`{failure.code}`: {failure.message}")
    if isinstance(result, Skip):
        return Outcome(name, False, {}, None, result.message)
    ab = np.full((2, 8, 8), 12, np.float32)
    composed = compose(result.L_u16, ab, result.alpha, depth=result.depth)
    output = encode(composed.rgb, result, None, OutputConfig(format="tiff"), MADE_BY)
    return Outcome(name, True, _kept(result, output), composed.max_delta_l, result.note or "")


def _kept(found: Decoded, made: bytes) -> dict[str, bool | None]:
    meta, read = found.meta, pyvips.Image.new_from_buffer(made, "")
    with Image.open(io.BytesIO(made)) as image:
        info, exif = image.info, image.getexif()
    size = (120, 90) if (read.width, read.height) == (120, 90) else (90, 120)
    return {
        "depth": (read.format == "ushort") == (found.depth == 16),
        "size": (read.width, read.height) == (found.width, found.height) == size,
        "ICC": None if meta.icc is None else info["icc_profile"] == meta.icc,
        "EXIF": None if meta.exif is None else exif.get(0x010E) == WORDS and exif.get(0x0112, 1) == 1,
        "XMP": None if meta.xmp is None else b"Salford" in info["xmp"],
        "DPI": None if meta.dpi is None else bool(np.allclose(info["dpi"], DPI, rtol=1e-3)),
    }


def outcomes() -> list[Outcome]:
    """All rows."""
    with IsolatedDecoder(memory=2**31, seconds=60) as decoder:
        return [outcome(name, make(), decoder) for name, make in sources()]


_RULES = """\
What samples mean is read in this order: an ICC profile, wherever it stands; of a PNG cICP, iCCP, sRGB,
gAMA with cHRM (0.45455 alone is sRGB, as the standard prescribes beside it); of a JP2 the first `colr`
box that is understood; of a TIFF TransferFunction and ReferenceBlackWhite; of HEIF and AVIF `nclx`
(HDR, PQ and HLG, is refused); of a BMP the gamma, primaries and profile of its header; else sRGB. Of a
TIFF the photograph is what neither NewSubfileType nor SubfileType calls a reduced copy or a mask.
ExtraSamples 1 and 2 are alpha, 0 is not, and a channel without the tag is taken for none: film scanners
store infrared so. Where EXIF states no orientation, that of XMP counts. In memory and in strips the rules
are the same.

Of a TIFF of several pages every page is coloured. Formats that hold one picture get a file for each page,
`KEY/page-0001.jpg` and so on: the IIIF Presentation API wants one image for each canvas, image servers
show a page by its own identifier, METS lists a file for each page, and viewers show the first page of a
TIFF alone. With `output.format=tiff` the result is one TIFF, built as its source was, so that a catalogue
that has one file for one object still does. `output.pages` chooses otherwise ([output.md](output.md)).
"""


def table(rows: list[Outcome]) -> str:
    """The page `docs/formats.md`."""
    lines = [
        "# Formats: what goes in and what is kept",
        "",
        "This page is written by `python -m tests.support.formats_table > docs/formats.md` and checked by",
        "`make test`. Each kind of file is decoded, coloured and written as TIFF. Pillow and libvips read",
        "the result back. A dash: the source has no such thing, or its format has no place for it. dL*:",
        "the largest change of lightness (0 to 100) of any pixel.",
        "",
        *_RULES.splitlines(),
        "",
        f"| source | coloured | {' | '.join(COLUMNS)} | dL* | says |",
        f"|---|---|{'---|' * len(COLUMNS)}---:|---|",
    ]
    marks = {True: "yes", False: "**no**", None: "-"}
    for row in rows:
        cells = [marks[row.kept.get(column)] for column in COLUMNS]
        delta = "" if row.max_delta_l is None else f"{row.max_delta_l:.4f}"
        coloured = "yes" if row.decoded else "no"
        lines.append(f"| {row.name} | {coloured} | {' | '.join(cells)} | {delta} | {row.said} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(outcomes()), end="")
