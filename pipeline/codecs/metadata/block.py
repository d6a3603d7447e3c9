"""The metadata of a file: read it from a source, and prepare it for the result.

All of it is kept if the result's format supports it. Changed or omitted metadata is listed in words, for the
ledger's column `metadata_changes`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from PIL import Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin

from pipeline.codecs.metadata import exif as exif_block
from pipeline.codecs.metadata import iptc as iim
from pipeline.codecs.metadata.profiles import examine, srgb_profile
from pipeline.codecs.metadata.xmp import LARGEST_PACKET, Packet, Provenance, kept_packet, xmp_packet

_XMP_TAG = 700
_EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\x00"
_LARGEST_COMMENT = 65_533
_LARGEST_TEXT = 64 * 2**10
# Text chunks that hold a profile of some kind: carried by other ways, or no text at all.
_PROFILE_TEXT = ("Raw profile type ", "XML:com.adobe.xmp")


@dataclass(frozen=True)
class SourceMeta:
    """The metadata that a result takes over.

    Attributes:
        format: Pillow's name of the source's format.
        icc: RGB profile; None where a result cannot carry it.
        exif: EXIF block without orientation, thumbnail and file layout.
        xmp: packet.
        dpi: pixels per inch in x and y.
        xmp_extended: the part of a JPEG's packet that its segment could not hold.
        iptc: IPTC-IIM data sets.
        comment: of a JPEG or GIF.
        text: keywords and texts of a PNG.
        changes: what was changed or left out, for the ledger.
    """

    format: str
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    xmp_extended: bytes | None = None
    iptc: bytes | None = None
    comment: bytes | None = None
    text: tuple[tuple[str, str], ...] = ()
    changes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ResultMetadata:
    """The metadata of a result file; fields as in SourceMeta, plus the profile of its pixels."""

    icc: bytes
    xmp: bytes
    xmp_extended: bytes | None = None
    exif: bytes | None = None
    iptc: bytes | None = None
    dpi: tuple[float, float] | None = None
    comment: bytes | None = None
    text: tuple[tuple[str, str], ...] = ()
    changes: tuple[str, ...] = ()


def read_metadata(image: Image.Image, format_: str, size: tuple[int, int], icc: bytes | None) -> SourceMeta:
    """The metadata of an opened file. Nothing in it, however broken, makes an image fail.

    Args:
        size: pixels across and down, upright.
        icc: the profile of the file's pixels that a result can carry, None where it cannot.
    """
    exif, changes = exif_block.carried_exif(image, *size)
    iptc, of_iptc = iim.carried_iptc(iim.read_iptc(image))
    dpi, of_dpi = exif_block.resolution(image)
    comment, xmp = image.info.get("comment"), _xmp(image)
    meta = SourceMeta(
        format=format_,
        icc=icc,
        exif=exif,
        xmp=xmp,
        xmp_extended=_extended(image, xmp),
        iptc=iptc,
        dpi=dpi,
        comment=comment if isinstance(comment, bytes) and comment else None,
        text=_text(image),
    )
    lost = [] if icc is not None else [lost_profile(image.info.get("icc_profile"))]
    return replace(meta, changes=(*lost, *changes, *of_iptc, *iim.other_resources(image), *of_dpi))


def lost_profile(icc: bytes | None) -> str:
    """For the ledger: what happens to a profile (None: no profile) that no result can carry."""
    if not icc:
        return "icc: none, sRGB assumed"
    profile = examine(icc)
    kind = {"L": "gray ", "RGB": "RGB "}.get(profile.mode or "", "")
    reason = f", {profile.problem}" if profile.problem else ""
    return f"icc: {kind}profile replaced by sRGB{reason}"


def _xmp(image: Image.Image) -> bytes | None:
    packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        # as it is in the file: Pillow takes the orientation out of its own
        packet = image.tag_v2.get(_XMP_TAG)
    if isinstance(packet, str):
        packet = packet.encode("utf-8", "replace")
    return packet if isinstance(packet, bytes) and packet else None


def _extended(image: Image.Image, main: bytes | None) -> bytes | None:
    """The extended packet that `main` names by its MD5, from its segments (XMP part 3, 1.1.3.1)."""
    if main is None or not isinstance(image, JpegImagePlugin.JpegImageFile):
        return None
    parts: dict[int, bytes] = {}
    for _, content in image.applist:
        body = content[len(_EXTENDED_XMP) :]
        if content.startswith(_EXTENDED_XMP) and body[:32] in main:
            parts[int.from_bytes(body[36:40], "big")] = body[40:]
    return b"".join(parts[offset] for offset in sorted(parts)) or None


def _text(image: Image.Image) -> tuple[tuple[str, str], ...]:
    if not isinstance(image, PngImagePlugin.PngImageFile):
        return ()
    texts = [(str(key), str(value)) for key, value in image.info.items() if isinstance(value, str)]
    return tuple((key, value) for key, value in texts if not key.startswith(_PROFILE_TEXT))


def result_metadata(
    meta: SourceMeta,
    icc: bytes | None,
    format_: str,
    provenance: Provenance | None,
    size: tuple[int, int] | None = None,
) -> ResultMetadata:
    """What a result in `format_` (jpeg, png, webp, tiff or jp2) carries, and all that was changed on the way.

    Args:
        icc: profile of the result's pixels; None for sRGB.
        provenance: None where `meta` is of a result of ours, whose packet says it already.
        size: its pixels across and down, where they may not be the source's.
    """
    jpeg = format_ == "jpeg"
    changes = list(meta.changes)
    if meta.icc is not None and icc is None and not examine(meta.icc).is_srgb:
        changes.append("icc: RGB profile replaced by sRGB")
    packet = _packet(meta, provenance, LARGEST_PACKET if jpeg else None)
    is_srgb = icc is None or examine(icc).is_srgb
    if format_ == "jp2" and is_srgb and meta.icc is not None and examine(meta.icc).is_srgb:
        changes.append("icc: sRGB profile left out, the file names sRGB by its number")
    block = exif_block.completed(meta.exif, meta.dpi, format_, is_srgb=is_srgb, size=size)
    fitting, losses = _fitting(meta, format_)
    return ResultMetadata(
        icc=icc or _srgb_of(meta),
        xmp=packet.main,
        xmp_extended=packet.extended,
        exif=block,
        iptc=fitting.iptc,
        dpi=meta.dpi,
        comment=fitting.comment,
        text=fitting.text,
        changes=(*changes, *packet.changes, *losses),
    )


def _packet(meta: SourceMeta, provenance: Provenance | None, most: int | None) -> Packet:
    if provenance is None:
        return kept_packet(meta.xmp or b"", most)
    sources = [part for part in (meta.xmp, meta.xmp_extended) if part is not None]
    return xmp_packet(provenance, *sources, most=most)


def _srgb_of(meta: SourceMeta) -> bytes:
    """The source's own sRGB profile, else ours."""
    return meta.icc if meta.icc is not None and examine(meta.icc).is_srgb else srgb_profile()


def _fitting(meta: SourceMeta, format_: str) -> tuple[SourceMeta, list[str]]:
    """The metadata without what the format has no place for, and what that was."""
    losses = []
    if meta.iptc is not None:
        reason = f"{format_} has no place for it" if format_ == "webp" else None
        if format_ == "jpeg":
            try:
                iim.photoshop_segment(meta.iptc)
            except ValueError as error:
                reason = str(error)
        if reason:
            meta = replace(meta, iptc=None)
            losses.append(f"iptc: {reason}, left out")
    if meta.comment is not None and (format_ != "jpeg" or len(meta.comment) > _LARGEST_COMMENT):
        meta = replace(meta, comment=None)
        losses.append("comment: left out")
    small = tuple((key, text) for key, text in meta.text if format_ == "png" and len(text) <= _LARGEST_TEXT)
    if small != meta.text:
        names = ", ".join(key for key, text in meta.text if (key, text) not in small)
        meta = replace(meta, text=small)
        losses.append(f"text: {names[:200]} left out")
    return meta, losses
