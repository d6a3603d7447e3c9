"""Turn decoded pixels and chroma into the bytes of the finished file: compose, then encode."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import __version__
from pipeline.codecs import in_memory
from pipeline.codecs.derivative import DerivativeMetadata, DerivativeReport, derive
from pipeline.codecs.document import Page, encode_pages
from pipeline.codecs.metadata.xmp import Provenance
from pipeline.color.real_colour import RealColour
from pipeline.config.job import ModelConfig
from pipeline.config.output import OutputConfig
from pipeline.plan.outputs import derivative_key, document_key
from pipeline.records import GRAY
from pipeline.shard.compose import Compose, ComposeSettings, Measures, compose, measure
from pipeline.shard.compose.keeper import ColourKeeper
from pipeline.shard.gallery_thumbnails import Small, small_of
from pipeline.shard.job import Job, SourceImage
from pipeline.shard.label import make_label
from pipeline.shard.own_profile import in_profile, note_of
from pipeline.shard.page_rows import joined_changes, joined_measures, joined_notes, joined_share

_DEEP_FORMATS = ("tiff", "png", "jp2")


@dataclass(frozen=True)
class SecondFile:
    """The derivative of an image; `resized`: whether it has fewer pixels than the colour image."""

    key: str
    data: bytes
    resized: bool


@dataclass(frozen=True)
class EncodedResult:
    """An encoded colour image and what was measured on its pixels before the format encoded them."""

    data: bytes
    format: str
    max_delta_l: float
    mean_chroma: float
    colorfulness: float
    note: str | None
    metadata_changes: tuple[str, ...]
    derivative: SecondFile | None = None
    real_color_share: float | None = None
    small: Small | None = None  # its thumbnail, if wanted


def finish_image(
    decoded: in_memory.Decoded,
    ab: NDArray[np.float32],
    image: SourceImage,
    source_sha256: str,
    job: Job,
    compose: Compose = compose,
    *,
    output_key: str | None = None,
) -> EncodedResult:
    """Compose at full resolution and encode with the source's metadata and our provenance.

    Args:
        ab: float32[2,h,w], Lab units, any size; upsampled to the source's.
        compose: the compose function, for the CPU or another device.
        output_key: the key of the result, from which the second file's name derives; None: the image's own.

    Raises:
        ImageFailure: ENCODE_FAILED where the format cannot hold the image.
    """
    output = job.config.output
    decoded, output = of_method(decoded, image), output_of(output, image)
    painted = _painted(decoded, ab, job.config.model, output, compose)
    provenance = provenance_of(job, image, source_sha256)
    changes: list[str] = []
    drawn = _Drawn(painted.alpha, decoded.meta)
    data = in_memory.encode(painted.rgb, drawn, painted.icc, output, provenance, changes)
    place = output_key or image.output_key
    derivative, report = _second_file(painted, decoded.meta, place, provenance, output)
    measured, changed = painted.measures, (*changes, *changes_beside(report, changes))
    measures = (measured.max_delta_l, measured.mean_chroma, measured.colorfulness)
    share = real_color_share(decoded)
    small = small_of(job.config, painted.rgb, painted.alpha, painted.icc)
    return EncodedResult(data, output.format, *measures, painted.note, changed, derivative, share, small)


def finish_document(
    pages: Iterable[in_memory.Decoded],
    abs_: Sequence[NDArray[np.float32]],
    image: SourceImage,
    sha256: str,
    job: Job,
    compose: Compose = compose,
) -> EncodedResult:
    """As `finish_image`, of all pages as one TIFF, taken one at a time; `abs_` has the chroma of each.

    max_delta_l is the largest of the pages', chroma and colourfulness are their means; the derivative is of
    the first page.
    """
    painted: list[_Painted] = []
    derived: list[tuple[SecondFile | None, DerivativeReport]] = []
    smalls: list[Small | None] = []
    shares: list[float | None] = []
    provenance = provenance_of(job, image, sha256)
    output = output_of(job.config.output.of_one_document, image)
    place = document_key(image.item.key, job.config.output)

    def one_by_one() -> Iterator[Page]:
        for opened, ab in zip(pages, abs_, strict=True):
            decoded = of_method(opened, image)
            page = _painted(decoded, ab, job.config.model, output, compose)
            if not painted:
                derived.append(_second_file(page, decoded.meta, place, provenance, output))
                smalls.append(small_of(job.config, page.rgb, page.alpha, page.icc))
            painted.append(replace(page, rgb=np.empty(0), alpha=None))
            shares.append(real_color_share(decoded))
            yield Page(page.rgb, _Drawn(page.alpha, decoded.meta), page.icc)

    changes: list[str] = []
    data = encode_pages(one_by_one(), len(abs_), provenance, changes, output.tiff_compression)
    measures = joined_measures(one.measures for one in painted)
    ((derivative, of_first),) = derived
    return EncodedResult(
        data,
        output.format,
        measures.max_delta_l,
        measures.mean_chroma,
        measures.colorfulness,
        joined_notes(one.note for one in painted),
        (*changes, *changes_beside(of_first, (change.removeprefix("page 1: ") for change in changes))),
        derivative,
        joined_share(shares),
        smalls[0],
    )


def joined_pages(pages: Sequence[EncodedResult]) -> EncodedResult:
    """Combine pages that are separate files into what the row says about all of them, without their bytes."""
    measures = joined_measures(Measures(p.max_delta_l, p.mean_chroma, p.colorfulness) for p in pages)
    return EncodedResult(
        b"",
        pages[0].format,
        measures.max_delta_l,
        measures.mean_chroma,
        measures.colorfulness,
        joined_notes(page.note for page in pages),
        joined_changes(page.metadata_changes for page in pages),
        real_color_share=joined_share(page.real_color_share for page in pages),
    )


def of_method(decoded: in_memory.Decoded, image: SourceImage) -> in_memory.Decoded:
    """The picture, without its real colour if it should become gray."""
    return replace(decoded, real_colour=None) if image.method == GRAY else decoded


def output_of(output: OutputConfig, image: SourceImage) -> OutputConfig:
    """The output settings for the image: one without added colour gets no label about colours."""
    return output.model_copy(update={"label": "none"}) if image.method == GRAY else output


def real_color_share(decoded: in_memory.Decoded) -> float:
    """The share of its area, 0 to 1, in which a gray or toned picture has real colour."""
    return 0.0 if decoded.real_colour is None else decoded.real_colour.real_colour.share


def changes_beside(report: DerivativeReport, known: Iterable[str]) -> tuple[str, ...]:
    """For the ledger: metadata that only the derivative changes or omits."""
    already = set(known)
    return tuple(f"derivative: {change}" for change in report.changes if change not in already)


def _second_file(
    painted: _Painted,
    meta: in_memory.SourceMeta,
    output_key: str,
    provenance: Provenance,
    output: OutputConfig,
) -> tuple[SecondFile | None, DerivativeReport]:
    """The derivative, where there is to be one."""
    key = derivative_key(output_key, output)
    if key is None:
        return None, DerivativeReport((), False)
    data, report = derive(
        painted.rgb, painted.alpha, DerivativeMetadata(meta, painted.icc, provenance), output.derivative
    )
    return SecondFile(key, data, report.resized), report


@dataclass(frozen=True)
class _Painted:
    """Colour pixels in the space of `icc` (None: sRGB), the measurements, and a note for the ledger."""

    rgb: NDArray[Any]
    alpha: NDArray[Any] | None
    icc: bytes | None
    measures: Measures
    note: str | None


@dataclass(frozen=True)
class _Drawn:
    """The other inputs of encoding, besides colours."""

    alpha: NDArray[Any] | None
    meta: in_memory.SourceMeta


def _painted(
    decoded: in_memory.Decoded,
    ab: NDArray[np.float32],
    model: ModelConfig,
    output: OutputConfig,
    compose: Compose,
) -> _Painted:
    settings = ComposeSettings(chroma=model.chroma)
    keeps_depth = output.depth == "auto" and output.format in _DEEP_FORMATS
    depth = decoded.depth if keeps_depth else 8
    composed = compose(decoded.L_u16, ab, decoded.alpha, settings, depth=depth)
    rgb, icc, note = composed.rgb, None, decoded.note
    measures: Measures = composed
    if (kept := decoded.real_colour) is not None:
        note = "; ".join(filter(None, [note, colour_note(kept.real_colour, model)]))
        if model.keep_color:
            measures = _with_own_colour(rgb, decoded, kept)
    under = in_profile(rgb, decoded.L_u16, decoded.icc)
    if under is not None and under.holds:
        measured = measure(under.srgb8, decoded.L_u16, decoded.alpha)
        measures = Measures(under.max_delta_l, measured.mean_chroma, measured.colorfulness)
        rgb, icc = under.pixels, decoded.icc
    else:
        note = "; ".join(filter(None, [note, note_of(decoded.icc, depth)])) or None
    rgb, alpha, note = _labelled(rgb, decoded.alpha, note, output)
    return _Painted(rgb, alpha, icc, measures, note)


def colour_note(real: RealColour, model: ModelConfig) -> str:
    """For the ledger: the real colour in a black-and-white scan, and what was done with it."""
    kept = "was kept" if model.keep_color else "was recoloured, because model.keep_color is false"
    return f"real colour on {max(real.share, 0.001):.1%} of its area {kept}"


def _with_own_colour(rgb: NDArray[Any], decoded: in_memory.Decoded, kept: in_memory.KeptColour) -> Measures:
    """Lay the source's real colour over composed pixels, in place."""
    down, across = kept.real_colour.box(*rgb.shape[:2])
    keeper = ColourKeeper(kept.real_colour, *rgb.shape[:2])
    keeper.lay(rgb[down, across], decoded.L_u16[down, across], kept.rgb8, down.start, across.start)
    return measure(rgb, decoded.L_u16, decoded.alpha)


def _labelled(
    rgb: NDArray[Any], alpha: NDArray[Any] | None, note: str | None, output: OutputConfig
) -> tuple[NDArray[Any], NDArray[Any] | None, str | None]:
    """Colours and alpha with the label drawn in or added below, and the note."""
    label = make_label(output.label, output.label_text, rgb.shape[1], rgb.shape[0])
    if label is None:
        return rgb, alpha, note
    label.draw(rgb)
    if not label.rows:
        return rgb, alpha, note
    rgb = np.vstack([rgb, label.band(3, rgb.dtype)])
    if alpha is not None:
        opaque = np.full((label.rows, alpha.shape[1]), np.iinfo(alpha.dtype).max, alpha.dtype)
        alpha = np.vstack([alpha, opaque])
    return rgb, alpha, "; ".join(filter(None, [note, label.note]))


def provenance_of(job: Job, image: SourceImage, source_sha256: str) -> Provenance:
    """The provenance that the result of a source carries."""
    card = (
        job.model if image.weights_digest == job.weights_digest else None
    )  # a guide may name another method
    # IPTC: of media that no trained algorithm made
    gray = "algorithmicallyEnhanced" if image.method == GRAY else None
    return Provenance(
        digital_source_type=gray or job.config.output.digital_source_type,
        method=image.method,
        weights_digest=image.weights_digest,
        software=f"Fiat Color {__version__}",
        source_name=image.item.key.rsplit("/", 1)[-1],
        source_sha256=source_sha256,
        date=job.date,
        model=None if card is None else card.name,
        model_licence=None if card is None else card.terms,
        model_sha256=None if card is None else card.sha256,
        picture=None if image.guide.picture is None else image.guide.picture.name,
        picture_sha256=image.picture_sha256,
    )
