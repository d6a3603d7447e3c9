"""Colour a master that memory cannot hold: one pass for the network, one that composes and writes in strips.

Memory is that of a few strips and of the reduced image, whatever the size of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from pipeline.codecs.in_memory import Skip
from pipeline.codecs.isolated.master import IsolatedMaster
from pipeline.codecs.master_pages import MasterInfo, in_page
from pipeline.codecs.masters import Master
from pipeline.codecs.metadata.block import result_metadata
from pipeline.codecs.metadata.profiles import examine
from pipeline.codecs.metadata.xmp import Provenance
from pipeline.codecs.tiff.writer import Compression, TiffPage, TiffWriter
from pipeline.color.luminance import downscale_luminance
from pipeline.color.real_colour import RealColour, find_real_colour
from pipeline.color.toning import colour_spread
from pipeline.config.job import ModelConfig
from pipeline.errors import ImageFailure
from pipeline.records import Status
from pipeline.shard.compose import Composer, ComposeSettings, Measurer, Measures
from pipeline.shard.compose.keeper import ColourKeeper
from pipeline.shard.finish import colour_note
from pipeline.shard.joined import joined_changes, joined_measures, joined_notes, joined_share
from pipeline.shard.label import Label

_COMPRESSORS = 2  # strips compressed at a time: deflate costs three times what composing does


@dataclass(frozen=True)
class MasterInput:
    """What the network sees of each page, float32[h,w] of L*; the largest colour spread of a page
    (`toning.colour_spread`); for each page where it has real colour."""

    L_pages: tuple[NDArray[np.float32], ...]
    color_spread: float
    real_colours: tuple[RealColour | None, ...]


@dataclass(frozen=True)
class WrittenMaster:
    """What was written, and what was measured on it; of several pages size and mode are the first one's."""

    width: int
    height: int
    mode: str
    measures: Measures
    note: str | None
    metadata_changes: tuple[str, ...] = ()
    real_color_share: float | None = None

    @property
    def max_delta_l(self) -> float:
        """As in `Measures`, like the next two."""
        return self.measures.max_delta_l

    @property
    def mean_chroma(self) -> float:
        return self.measures.mean_chroma

    @property
    def colorfulness(self) -> float:
        return self.measures.colorfulness


@dataclass(frozen=True)
class MasterSettings:
    """How masters are written: `depth` of 8 bits, or None for the master's own; `label`: for a page of so
    many pixels across and down."""

    model: ModelConfig
    depth: int | None = None
    compression: Compression = "deflate"
    label: Callable[[int, int], Label | None] = lambda width, height: None


def joined_masters(pages: Sequence[WrittenMaster]) -> WrittenMaster:
    """What was written of several pages, as one; notes and changes say of which page they are."""
    if len(pages) == 1:
        return pages[0]
    return replace(
        pages[0],
        measures=joined_measures(page.measures for page in pages),
        note=joined_notes(page.note for page in pages),
        metadata_changes=joined_changes(page.metadata_changes for page in pages),
        real_color_share=joined_share(page.real_color_share for page in pages),
    )


def reduce_master(master: Master | IsolatedMaster, model: ModelConfig) -> MasterInput | Skip:
    """First pass: what the network sees; a Skip for colour on any page that is to be left alone.

    Raises:
        ImageFailure: the master cannot be read to its end.
    """
    L_pages, found, largest, count = [], list[RealColour | None](), 0.0, len(master.infos)
    for page, info in enumerate(master.infos):
        with _page(page, count):
            reduced = master.reduced(model.side, page)
        spread = 0.0 if reduced.rgb8 is None else colour_spread(reduced.rgb8)
        if spread > model.color_threshold and model.skip_color:
            message = f"has real colour already (spread {spread:.1f}, threshold {model.color_threshold:g})"
            message = message if count == 1 else f"page {page + 1} of {count} {message}"
            return Skip(Status.SKIPPED_COLOR, message, info.width, info.height, info.mode, count, spread)
        L_pages.append(downscale_luminance(reduced.L_u16, model.side))
        is_color = spread > model.color_threshold
        found.append(None if reduced.rgb8 is None or is_color else find_real_colour(reduced.rgb8))
        largest = max(largest, spread)
    return MasterInput(tuple(L_pages), largest, tuple(found))


def write_pages(
    master: Master | IsolatedMaster,
    pages: Sequence[int],
    target: BinaryIO,
    abs_: Sequence[NDArray[np.float32]],
    provenance: Provenance,
    settings: MasterSettings,
    real_colours: Sequence[RealColour | None] = (),
) -> WrittenMaster:
    """Second pass: the colour images of some pages as one sRGB TIFF, to an empty file.

    Args:
        pages: which, from 0.
        abs_: for each of them float32[2,h,w], Lab units, any size.
        real_colours: for each of them where it has real colour; empty: nowhere.

    Raises:
        ImageFailure: the master cannot be read to its end.
        OSError: the file cannot be written.
    """
    infos = [master.infos[page] for page in pages]
    labels = [settings.label(info.width, info.height) for info in infos]
    tiff_pages = [_tiff_page(*one, provenance, settings) for one in zip(infos, labels, strict=True)]
    if len(pages) > 1:
        tiff_pages = [replace(page, number=(i, len(pages))) for i, page in enumerate(tiff_pages)]
    most = sum(page.bytes_at_most(settings.compression) for page in tiff_pages)
    given: dict[str, Any] = {"compression": settings.compression, "threads": _COMPRESSORS}
    writer, written = TiffWriter(target, bytes_at_most=most, **given), []
    reals = real_colours or [None] * len(pages)
    for page, ab, label, tiff_page, real in zip(pages, abs_, labels, tiff_pages, reals, strict=True):
        composing = _Composing(master, page, ab, settings.model, tiff_page.depth, real)
        with _page(page, len(master.infos)):
            writer.write(tiff_page, _rows(composing, label, tiff_page))
        info, share = master.infos[page], 0.0 if real is None else real.share
        assert tiff_page.metadata is not None
        size, changes = (info.width, info.height, info.mode), tiff_page.metadata.changes
        note = _note(info, label, real, settings.model)
        written.append(WrittenMaster(*size, composing.measures(), note, changes, share))
    writer.close()
    return joined_masters(written)


@contextmanager
def _page(page: int, count: int) -> Iterator[None]:
    """A failure says of which page it is."""
    try:
        yield
    except ImageFailure as failure:
        raise in_page(page + 1, count, failure) from None


def _tiff_page(
    info: MasterInfo, label: Label | None, provenance: Provenance, settings: MasterSettings
) -> TiffPage:
    return TiffPage(
        width=info.width,
        height=info.height + (label.rows if label is not None else 0),
        channels=4 if info.has_alpha else 3,
        depth=settings.depth or info.depth,
        metadata=result_metadata(info.meta, None, "tiff", provenance),
    )


def _note(info: MasterInfo, label: Label | None, real: RealColour | None, model: ModelConfig) -> str | None:
    notes, icc = list(info.notes), info.meta.icc
    if real is not None:
        notes.append(colour_note(real, model))
    if icc is not None and not examine(icc).is_srgb and examine(icc).mode == "RGB":
        notes.append("written as sRGB, not in the source's profile")
    if label is not None and label.rows:
        notes.append(label.note)
    return "; ".join(notes) or None


class _Composing:
    """One page, composed strip by strip, with its real colour laid over."""

    def __init__(
        self,
        master: Master | IsolatedMaster,
        page: int,
        ab: NDArray[np.float32],
        model: ModelConfig,
        depth: int,
        real: RealColour | None,
    ) -> None:
        self.master, self.page, self.info = master, page, master.infos[page]
        height, width = self.info.height, self.info.width
        self._composer = Composer(ab, height, width, ComposeSettings(chroma=model.chroma), depth=depth)
        is_kept = real is not None and model.keep_color
        self._keeper = ColourKeeper(real, height, width) if real is not None and is_kept else None
        self._measurer = Measurer(depth)

    def strips(self) -> Iterator[tuple[NDArray[Any], NDArray[Any] | None]]:
        """From the top: the colour pixels of whole rows, and alpha of the master's depth or None."""
        if self._keeper is None:
            for l_u16, alpha in self.master.strips(self.page):
                yield self._composer.strip(l_u16, alpha), alpha
            return
        top = 0
        for l_u16, alpha, rgb8 in self.master.coloured_strips(self.page):
            rgb = self._composer.strip(l_u16, alpha)
            assert rgb8 is not None
            self._keeper.lay(rgb, l_u16, rgb8, top)
            self._measurer.add(rgb, l_u16, alpha)
            top += len(rgb)
            yield rgb, alpha

    def measures(self) -> Measures:
        """Of the strips so far."""
        return (self._composer if self._keeper is None else self._measurer).measures()


def _rows(composing: _Composing, label: Label | None, written: TiffPage) -> Iterator[NDArray[Any]]:
    """The rows of the colour image, strip by strip, with the label's."""
    top = 0
    for rgb, alpha in composing.strips():
        if label is not None:
            label.draw(rgb, top)
        top += len(rgb)
        if alpha is None:
            yield rgb
            continue
        if written.depth < composing.info.depth:
            alpha = np.rint(alpha / np.float32(257)).astype(np.uint8)
        yield np.dstack([rgb, alpha])
    if label is not None and label.rows:
        yield label.band(written.channels, written.dtype)
