"""Colour a master that memory cannot hold: one pass for the network, one that composes and writes in strips.

Memory is that of a few strips and of the reduced image, whatever the size of the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from pipeline.codecs.in_memory import Skip
from pipeline.codecs.isolated.master import IsolatedMaster
from pipeline.codecs.masters import Master
from pipeline.codecs.metadata.block import result_metadata
from pipeline.codecs.metadata.profiles import examine
from pipeline.codecs.metadata.xmp import Provenance
from pipeline.codecs.tiff.writer import Compression, TiffPage, TiffWriter
from pipeline.color.luminance import downscale_luminance
from pipeline.color.toning import colour_spread
from pipeline.config.job import ModelConfig
from pipeline.records import Status
from pipeline.shard.compose import Composer, ComposeSettings, Measures
from pipeline.shard.label import Label

_COMPRESSORS = 2  # strips compressed at a time: deflate costs three times what composing does


@dataclass(frozen=True)
class MasterInput:
    """What the network sees, float32[h,w] of L*, and the master's colour spread (`toning.colour_spread`)."""

    model_L: NDArray[np.float32]
    color_spread: float


@dataclass(frozen=True)
class WrittenMaster:
    """What was written, and what was measured on it."""

    width: int
    height: int
    mode: str
    measures: Measures
    note: str | None
    metadata_changes: tuple[str, ...] = ()

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


def reduce_master(master: Master | IsolatedMaster, model: ModelConfig) -> MasterInput | Skip:
    """First pass: what the network sees; a Skip for colour that is to be left alone.

    Raises:
        ImageFailure: the master cannot be read to its end.
    """
    reduced, info = master.reduced(model.side), master.info
    spread = 0.0 if reduced.rgb8 is None else colour_spread(reduced.rgb8)
    if spread > model.color_threshold and model.skip_color:
        message = f"has real colour already (spread {spread:.1f}, threshold {model.color_threshold:g})"
        return Skip(Status.SKIPPED_COLOR, message, info.width, info.height, info.mode, 1, spread)
    return MasterInput(downscale_luminance(reduced.L_u16, model.side), spread)


def write_master(
    master: Master | IsolatedMaster,
    target: BinaryIO,
    ab: NDArray[np.float32],
    provenance: Provenance,
    settings: ComposeSettings,
    depth: int | None = None,
    label: Label | None = None,
    compression: Compression = "deflate",
) -> WrittenMaster:
    """Second pass: the colour image as an sRGB TIFF of `depth` bits, else of the master's, to an empty file.

    Args:
        ab: float32[2,h,w], Lab units, any size.
        label: of the master's size; drawn into it, or added below.

    Raises:
        ImageFailure: the master cannot be read to its end.
        OSError: the file cannot be written.
    """
    info, notes = master.info, list(master.info.notes)
    icc = info.meta.icc
    if icc is not None and not examine(icc).is_srgb and examine(icc).mode == "RGB":
        notes.append("written as sRGB, not in the source's profile")
    metadata = result_metadata(info.meta, None, "tiff", provenance)
    page = TiffPage(
        width=info.width,
        height=info.height + (label.rows if label is not None else 0),
        channels=4 if info.has_alpha else 3,
        depth=depth or info.depth,
        metadata=metadata,
    )
    composer = Composer(ab, info.height, page.width, settings, depth=page.depth)
    most = page.bytes_at_most(compression)
    writer = TiffWriter(target, bytes_at_most=most, compression=compression, threads=_COMPRESSORS)
    writer.write(page, _rows(master, composer, label, page))
    writer.close()
    if label is not None and label.rows:
        notes.append(label.note)
    note = "; ".join(notes) or None
    return WrittenMaster(info.width, info.height, info.mode, composer.measures(), note, metadata.changes)


def _rows(
    master: Master | IsolatedMaster, composer: Composer, label: Label | None, page: TiffPage
) -> Iterator[NDArray[Any]]:
    """The rows of the colour image, strip by strip, with the label's."""
    top = 0
    for l_u16, alpha in master.strips():
        rgb = composer.strip(l_u16, alpha)
        if label is not None:
            label.draw(rgb, top)
        top += len(rgb)
        if alpha is None:
            yield rgb
            continue
        if page.depth < master.info.depth:
            alpha = np.rint(alpha / np.float32(257)).astype(np.uint8)
        yield np.dstack([rgb, alpha])
    if label is not None and label.rows:
        yield label.band(page.channels, page.dtype)
