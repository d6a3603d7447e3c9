"""Colour a master that memory cannot hold: one pass for the network, one that composes and writes in strips.

Memory is that of a few strips and of the reduced image, whatever the size of the file.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from pipeline.codecs.everyday import Skip
from pipeline.codecs.isolated_master import IsolatedMaster
from pipeline.codecs.masters import Master
from pipeline.codecs.metadata import Provenance, xmp_packet
from pipeline.codecs.profiles import examine, srgb_profile
from pipeline.codecs.tiff import TiffPage, TiffWriter
from pipeline.config import ModelConfig
from pipeline.luminance import downscale_luminance
from pipeline.records import Status
from pipeline.stages.compose import Composer, ComposeSettings, Measures
from pipeline.toning import colour_spread

Predict = Callable[[NDArray[np.float32]], NDArray[np.float32]]  # L* float32[h,w] to ab float32[2,h',w']

_COMPRESSORS = 2  # strips compressed at a time: deflate costs three times what composing does


@dataclass(frozen=True)
class Streamed:
    """What was written and measured; the seconds of both passes, without those of the network."""

    width: int
    height: int
    mode: str
    measures: Measures
    note: str | None
    seconds_decode: float
    seconds_predict: float
    seconds_compose: float


def colour_master(
    master: Master | IsolatedMaster,
    target: BinaryIO,
    predict: Predict,
    provenance: Provenance,
    model: ModelConfig,
) -> Streamed | Skip:
    """Write the colour image of `master` as a TIFF of its depth, in sRGB, to an empty file that can seek.

    Returns a Skip, with nothing written, for real colour that is to be left alone.

    Raises:
        ImageFailure: the master cannot be read to its end.
        OSError: the file cannot be written.
    """
    info, notes = master.info, list(master.info.notes)
    start = time.perf_counter()
    reduced = master.reduced(model.side)
    spread = 0.0 if reduced.rgb8 is None else colour_spread(reduced.rgb8)
    if spread > model.color_threshold and model.skip_color:
        message = f"has real colour already (spread {spread:.1f}, threshold {model.color_threshold:g})"
        return Skip(Status.SKIPPED_COLOR, message, info.width, info.height, info.mode)
    model_L = downscale_luminance(reduced.L_u16, model.side)
    del reduced
    decoded = time.perf_counter()
    ab = predict(model_L)
    predicted = time.perf_counter()
    icc = info.meta.icc
    if icc is None or not examine(icc).is_srgb:
        if icc is not None and examine(icc).mode == "RGB":
            notes.append("written as sRGB, not in the source's profile")
        icc = srgb_profile()
    page = TiffPage(
        width=info.width,
        height=info.height,
        channels=4 if info.has_alpha else 3,
        depth=info.depth,
        icc=icc,
        xmp=xmp_packet(provenance, info.meta.xmp),
        exif=info.meta.exif,
        dpi=info.meta.dpi,
    )
    measures = _write(master, target, page, ab, ComposeSettings(chroma=model.chroma))
    return Streamed(
        info.width,
        info.height,
        info.mode,
        measures,
        "; ".join(notes) or None,
        decoded - start,
        predicted - decoded,
        time.perf_counter() - predicted,
    )


def _write(
    master: Master | IsolatedMaster,
    target: BinaryIO,
    page: TiffPage,
    ab: NDArray[np.float32],
    settings: ComposeSettings,
) -> Measures:
    composer = Composer(ab, page.height, page.width, settings, depth=page.depth)
    with TiffWriter(target, bytes_at_most=page.bytes_at_most, threads=_COMPRESSORS) as writer:
        writer.page(page)
        for l_u16, alpha in master.strips():
            rgb = composer.strip(l_u16, alpha)
            writer.write(rgb if alpha is None else np.dstack([rgb, alpha]))
    return composer.measures()
