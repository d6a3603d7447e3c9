"""Make the report of a run from ledger rows: fetch a few pictures, make thumbnails, write sheet and page."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageCms, ImageOps

from pipeline.codecs import sniff
from pipeline.codecs.encode import eight_bits
from pipeline.codecs.opened import opened_picture
from pipeline.codecs.pixels import DecodeLimits, NoImage, read_pixels
from pipeline.config.job import ReportConfig
from pipeline.errors import ImageFailure, StorageError
from pipeline.ledger.keys import page_key, sheet_key
from pipeline.report.page import report_html
from pipeline.report.sheet import Pair, contact_sheet
from pipeline.report.summary import Summary
from pipeline.storage import Store

# Pictures are decoded on the driver, one thread each; 100 million pixels take 300 MB.
_MAX_PIXELS = 100_000_000
_THREADS = 4
_TOO_LARGE = "too large for a thumbnail"
_SHOWN_BY_PILLOW = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "JPEG2000")  # fast, and as the job decodes them


@dataclass(frozen=True)
class ReportKeys:
    """The written files as keys below OUT; `sheet` is None if there was no picture to show."""

    index: str
    sheet: str | None


def make_report(
    source: Store, out: Store, rows: Sequence[Mapping[str, Any]], config: ReportConfig, summary: Summary
) -> ReportKeys:
    """Write `runs/<run id>/report/index.html` and, if any image was coloured, `contact-sheet.png` beside it.

    Args:
        rows: colorized ledger rows (`key`, `output_key`, and for the captions `width`, `height`,
            `mean_chroma`, `max_delta_l`), e.g. `RunTally.sample`; of more than `config.sample` rows, a sample
            spread evenly over the keys is shown.

    Raises:
        StorageError: the report itself cannot be written. A picture that cannot be fetched or shown is a gray
            box with its reason.
    """
    chosen = spread(sorted(rows, key=lambda row: str(row["key"])), config.sample)
    with ThreadPoolExecutor(_THREADS) as pool:
        pairs = list(pool.map(lambda row: _pair(source, out, row, config.thumbnail), chosen))
    sheet = sheet_key(summary.run_id) if pairs else None
    if sheet:
        title = f"Fiat Color | {summary.method} {summary.weights_digest[:12]}"
        out.put(sheet, _png(contact_sheet(pairs, config.thumbnail, title)), "image/png")
    page = report_html(summary, pairs, [str(row["output_key"]) for row in chosen])
    index = page_key(summary.run_id)
    out.put(index, page.encode(), "text/html; charset=utf-8")
    return ReportKeys(index, sheet)


def spread(rows: Sequence[Mapping[str, Any]], most: int) -> list[Mapping[str, Any]]:
    """At most `most` of the rows, evenly spaced, the first among them."""
    if len(rows) <= most:
        return list(rows)
    return [rows[i * len(rows) // most] for i in range(most)]


def thumbnail(data: bytes, side: int) -> Image.Image:
    """The encoded picture upright, in sRGB, at most `side` pixels long; toned pictures stay toned.

    Raises:
        OSError, ValueError, SyntaxError, Image.DecompressionBombError, ImageFailure: it cannot be read, or is
            too large.
    """
    if sniff.readable_format(data) not in _SHOWN_BY_PILLOW:
        return _as_decoded(data, side)
    with opened_picture(data) as image:
        image.draft(image.mode, (side, side))
        if image.width * image.height > _MAX_PIXELS:
            raise ValueError(_TOO_LARGE)
        if image.mode == "CMYK" or image.mode.startswith(("I", "F")):
            return _as_decoded(data, side)
        image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
        upright = ImageOps.exif_transpose(image)
    return _on_white(_to_srgb(upright))


def _as_decoded(data: bytes, side: int) -> Image.Image:
    """Decode with the job's decoder. Pillow shows MinIsWhite, floating point and CMYK wrongly."""
    pixels = read_pixels(data, "", None, DecodeLimits(_MAX_PIXELS))
    if isinstance(pixels, NoImage):
        raise ValueError(pixels.message)
    image = Image.fromarray(pixels.srgb8()).convert("RGB")
    if pixels.alpha is not None:
        image.putalpha(Image.fromarray(eight_bits(pixels.alpha)))
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return _on_white(image)


def _pair(source: Store, out: Store, row: Mapping[str, Any], side: int) -> Pair:
    if (row.get("width") or 0) * (row.get("height") or 0) > _MAX_PIXELS:
        # do not fetch it: it may have gigabytes
        return Pair(str(row["key"]), _TOO_LARGE, _TOO_LARGE, _caption(row))
    before = _picture(source, str(row["key"]), side)
    after = _picture(out, str(row["output_key"]), side)
    return Pair(str(row["key"]), before, after, _caption(row))


def _picture(store: Store, key: str, side: int) -> Image.Image | str:
    try:
        return thumbnail(store.get(key).data, side)
    except (
        StorageError,
        ImageFailure,
        OSError,
        ValueError,
        SyntaxError,
        Image.DecompressionBombError,
    ) as error:
        return " ".join(str(error).split()) or type(error).__name__


def _caption(row: Mapping[str, Any]) -> str:
    parts = []
    if row.get("width") and row.get("height"):
        parts.append(f"{row['width']} x {row['height']}")
    if row.get("mean_chroma") is not None:
        parts.append(f"mean chroma {row['mean_chroma']:.1f}")
    if row.get("max_delta_l") is not None:
        parts.append(f"L* kept within {row['max_delta_l']:.2f}")
    return " | ".join(parts)


def _to_srgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("L", "RGB"):
        return image
    try:
        converted = ImageCms.profileToProfile(
            image, io.BytesIO(profile), ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError):
        return image  # a broken profile must not hide the picture: show the pixels as sRGB
    return converted or image


def _on_white(image: Image.Image) -> Image.Image:
    """RGB; transparent parts on white, like paper."""
    if image.mode.startswith("I;16"):
        image = image.point(lambda value: value / 257).convert("L")
    if "A" not in image.getbands() and "transparency" not in image.info:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    paper = Image.new("RGBA", rgba.size, "white")
    paper.alpha_composite(rgba)
    return paper.convert("RGB")


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
