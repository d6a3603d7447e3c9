"""From decoded pixels and chroma to the bytes of the finished file, across the compose and encode rooms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline import __version__
from pipeline.codecs import everyday
from pipeline.codecs.metadata import Provenance
from pipeline.flow.job import Job
from pipeline.stages.compose import ComposeSettings, Measures, compose, measure

# The design's promise by bits of the output: lightness moves by less than this, on every pixel.
MAX_DELTA_L = {8: 1.0, 16: 0.1}
_DEEP_FORMATS = ("tiff", "png")


@dataclass(frozen=True)
class Finished:
    """An encoded colour image and what was measured on its pixels before the format encoded them."""

    data: bytes
    max_delta_l: float
    mean_chroma: float
    colorfulness: float
    note: str | None


def finish_image(
    decoded: everyday.Decoded, ab: NDArray[np.float32], key: str, source_sha256: str, job: Job
) -> Finished:
    """Compose at full resolution and encode with the source's metadata and our provenance.

    Args:
        ab: float32[2,h,w], Lab units, any size; upsampled to the source's.

    Raises:
        ImageFailure: ENCODE_FAILED where the format cannot hold the image.
    """
    settings = ComposeSettings(chroma=job.config.model.chroma)
    keeps_depth = job.config.output.depth == "auto" and job.config.output.format in _DEEP_FORMATS
    depth = decoded.depth if keeps_depth else 8
    composed = compose(decoded.L_u16, ab, decoded.alpha, settings, depth=depth)
    rgb, icc, note = composed.rgb, None, decoded.note
    measures: Measures = composed
    if (converted := everyday.to_profile(composed.rgb, decoded.icc)) is not None:
        seen = measure(everyday.from_profile(converted, decoded.icc), decoded.L_u16, decoded.alpha)
        if seen.max_delta_l < MAX_DELTA_L[depth]:
            rgb, measures, icc = converted, seen, decoded.icc
        else:
            note = "; ".join(
                filter(None, [note, f"written as sRGB: its profile cannot hold the lightness in {depth} bit"])
            )
    provenance = provenance_of(job, key, source_sha256)
    data = everyday.encode(rgb, decoded, icc, job.config.output, provenance)
    return Finished(data, measures.max_delta_l, measures.mean_chroma, measures.colorfulness, note)


def provenance_of(job: Job, key: str, source_sha256: str) -> Provenance:
    """What the result of a source says about its making."""
    return Provenance(
        digital_source_type=job.config.output.digital_source_type,
        method=job.config.model.method,
        weights_digest=job.weights_digest,
        software=f"Fiat Color {__version__}",
        source_name=key.rsplit("/", 1)[-1],
        source_sha256=source_sha256,
        date=job.date,
    )
