"""Colour a master that exceeds memory: one pass for the network, one that composes and writes in strips.

Memory is that of a few strips and of the reduced image, whatever the size of the file.
"""

from __future__ import annotations

from collections import deque
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
from pipeline.codecs.metadata.xmp import Provenance
from pipeline.codecs.tiff.writer import Compression, TiffPage, TiffWriter
from pipeline.color.luminance import downscale_luminance
from pipeline.color.real_colour import RealColour, find_real_colour
from pipeline.color.toning import colour_spread
from pipeline.config.job import ModelConfig
from pipeline.errors import ImageFailure
from pipeline.records import Status
from pipeline.shard.compose import Measures
from pipeline.shard.finish import colour_note
from pipeline.shard.gallery_thumbnails import Small, SmallMaster
from pipeline.shard.label import Label
from pipeline.shard.master_pages import PageComposing, ProfileTooSmall
from pipeline.shard.own_profile import can_keep, note_of
from pipeline.shard.page_rows import joined_changes, joined_measures, joined_notes, joined_share

_COMPRESSORS = 2  # strips compressed in parallel: deflate takes three times as long as composing


@dataclass(frozen=True)
class MasterInput:
    """What the network sees of each page, float32[h,w] of L*; the largest colour spread of a page
    (`toning.colour_spread`); for each page where it has real colour."""

    L_pages: tuple[NDArray[np.float32], ...]
    color_spread: float
    real_colours: tuple[RealColour | None, ...]


@dataclass(frozen=True)
class WrittenMaster:
    """What was written, and what was measured on it; of several pages size, mode and profile (None: sRGB) are
    the first one's. small: thumbnails of source (its lightness, in gray) and result, where they are wanted.
    """

    width: int
    height: int
    mode: str
    measures: Measures
    note: str | None
    metadata_changes: tuple[str, ...] = ()
    real_color_share: float | None = None
    icc: bytes | None = None
    small: tuple[Small, Small] | None = None

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
    many pixels across and down; `thumbnail`: longest side of thumbnails, None: there are none."""

    model: ModelConfig
    depth: int | None = None
    compression: Compression = "deflate"
    label: Callable[[int, int], Label | None] = lambda width, height: None
    thumbnail: int | None = None


def joined_masters(pages: Sequence[WrittenMaster]) -> WrittenMaster:
    """Combine what was written for several pages; notes and changes name their page."""
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
    """First pass: the network's input, or a Skip if any page has colour that should be left alone.

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
    """Second pass: the colour images of some pages as one TIFF, to an empty file.

    Each is under its source's profile, or sRGB where that cannot hold it (`own_profile`).

    Args:
        pages: which, from 0.
        abs_: for each of them float32[2,h,w], Lab units, any size.
        real_colours: for each of them where it has real colour; empty: nowhere.

    Raises:
        ImageFailure: the master cannot be read to its end.
        OSError: the file cannot be written.
    """
    reals = real_colours or [None] * len(pages)
    plans = [
        _plan(master, page, ab, real, provenance, settings)
        for page, ab, real in zip(pages, abs_, reals, strict=True)
    ]
    if len(pages) > 1:  # to begin again costs one pass for one page; of several all would be written again
        plans = [plan if _fits(plan) else plan.as_srgb() for plan in plans]
    try:
        return _write(plans, target, settings)
    except ProfileTooSmall:
        target.seek(0)
        target.truncate()
        return _write([plan.as_srgb() for plan in plans], target, settings)


@dataclass(frozen=True)
class _Plan:
    """How one page is composed and written."""

    master: Master | IsolatedMaster
    page: int
    ab: NDArray[np.float32]
    real: RealColour | None
    provenance: Provenance
    settings: MasterSettings
    icc: bytes | None

    @property
    def info(self) -> MasterInfo:
        return self.master.infos[self.page]

    @property
    def depth(self) -> int:
        return self.settings.depth or self.info.depth

    @property
    def label(self) -> Label | None:
        return self.settings.label(self.info.width, self.info.height)

    def as_srgb(self) -> _Plan:
        return replace(self, icc=None)

    def composing(self, small: SmallMaster | None = None) -> PageComposing:
        before = None if small is None else small.before
        given = (self.master, self.page, self.ab, self.settings.model, self.depth, self.real, self.icc)
        return PageComposing(*given, before)

    def small(self, page: TiffPage) -> SmallMaster | None:
        side = self.settings.thumbnail
        if side is None or self.page:
            return None
        return SmallMaster((self.info.height, self.info.width), (page.height, page.width), side)

    def tiff_page(self, number: tuple[int, int] | None, rows: int) -> TiffPage:
        return TiffPage(
            width=self.info.width,
            height=self.info.height + rows,
            channels=4 if self.info.has_alpha else 3,
            depth=self.depth,
            metadata=result_metadata(self.info.meta, self.icc, "tiff", self.provenance),
            number=number,
        )

    def note(self, label: Label | None) -> str | None:
        notes: list[str | None] = list(self.info.notes)
        notes.append(None if self.real is None else colour_note(self.real, self.settings.model))
        notes.append(None if self.icc is not None else note_of(self.info.meta.icc, self.depth))
        notes.append(label.note if label is not None and label.rows else None)
        return "; ".join(filter(None, notes)) or None


def _plan(
    master: Master | IsolatedMaster,
    page: int,
    ab: NDArray[np.float32],
    real: RealColour | None,
    provenance: Provenance,
    settings: MasterSettings,
) -> _Plan:
    plan = _Plan(master, page, ab, real, provenance, settings, master.infos[page].meta.icc)
    return plan if can_keep(plan.icc, plan.depth) else plan.as_srgb()


def _fits(plan: _Plan) -> bool:
    """Whether the page's profile can hold it; this takes a separate pass."""
    if plan.icc is None:
        return True
    try:
        with _page(plan.page, len(plan.master.infos)):
            deque(plan.composing().strips(), maxlen=0)
    except ProfileTooSmall:
        return False
    return True


def _write(plans: Sequence[_Plan], target: BinaryIO, settings: MasterSettings) -> WrittenMaster:
    labels, count = [plan.label for plan in plans], len(plans)
    tiff_pages = [
        plan.tiff_page((i, count) if count > 1 else None, 0 if label is None else label.rows)
        for i, (plan, label) in enumerate(zip(plans, labels, strict=True))
    ]
    most = sum(page.bytes_at_most(settings.compression) for page in tiff_pages)
    given: dict[str, Any] = {"compression": settings.compression, "threads": _COMPRESSORS}
    writer, written = TiffWriter(target, bytes_at_most=most, **given), []
    for plan, label, tiff_page in zip(plans, labels, tiff_pages, strict=True):
        small = plan.small(tiff_page)
        composing = plan.composing(small)
        with _page(plan.page, len(plan.master.infos)):
            writer.write(tiff_page, _rows(composing, label, tiff_page, small))
        info, share = plan.info, 0.0 if plan.real is None else plan.real.share
        assert tiff_page.metadata is not None
        size, changes = (info.width, info.height, info.mode), tiff_page.metadata.changes
        note = plan.note(label)
        thumbnails = None if small is None else small.both(plan.icc)
        written.append(WrittenMaster(*size, composing.measures(), note, changes, share, plan.icc, thumbnails))
    writer.close()
    return joined_masters(written)


@contextmanager
def _page(page: int, count: int) -> Iterator[None]:
    """Add the page to failures in the block."""
    try:
        yield
    except ImageFailure as failure:
        raise in_page(page + 1, count, failure) from None


def _rows(
    composing: PageComposing, label: Label | None, written: TiffPage, small: SmallMaster | None
) -> Iterator[NDArray[Any]]:
    """The rows of the colour image, strip by strip, with the label's."""
    top = 0
    for rgb, alpha in composing.strips():
        if label is not None:
            label.draw(rgb, top)
        top += len(rgb)
        if small is not None:
            small.after.put(rgb, alpha)
        if alpha is None:
            yield rgb
            continue
        if written.depth < composing.info.depth:
            alpha = np.rint(alpha / np.float32(257)).astype(np.uint8)
        yield np.dstack([rgb, alpha])
    if label is not None and label.rows:
        if small is not None:
            small.after.put(label.band(3, written.dtype), None)
        yield label.band(written.channels, written.dtype)
