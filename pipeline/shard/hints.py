"""Hints: what a person knows of single places, spread over the photograph. Plain functions, on a CPU."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.color.luminance import downscale_luminance
from pipeline.color.spaces import L_U16_SCALE
from pipeline.color.upsampling import guided_upsample
from pipeline.config.job import JobConfig
from pipeline.guides.guide import Guide
from pipeline.guides.scribbles import draw_points, merge_hints, read_scribbles
from pipeline.models.propagation import propagate
from pipeline.shard.job import SourceImage

F32 = NDArray[np.float32]


def spread_hints(l_u16: NDArray[np.uint16], ab_2hw: F32 | None, guide: Guide, png: bytes | None) -> F32:
    """Chroma float32[2,H,W] in Lab units of a photograph `L_u16` uint16[H,W] whose guide has hints.

    Near a hint its colour, far from all of them the prediction; without one the hints' colours everywhere.

    Args:
        ab_2hw: the prediction, float32[2,h,w] of any size, or None.
        guide: its points lie over its scribbles, and both are spread at its `side`.
        png: the scribbles, encoded.

    Raises:
        ImageFailure: GUIDE_INVALID where the hints are damaged, do not fit, or hold nothing.
    """
    height, width = l_u16.shape
    known = hints_of(guide, png, width, height)
    L_hw = downscale_luminance(l_u16, guide.side)
    toward = None if ab_2hw is None else _resized(ab_2hw, L_hw.shape)
    spread = propagate(L_hw, known[:2], known[2], toward_2HW=toward)
    return guided_upsample(spread, L_hw, l_u16.astype(np.float32) / np.float32(L_U16_SCALE))


def hints_of(guide: Guide, png: bytes | None, width: int, height: int) -> F32:
    """Points over scribbles for a photograph of this size, as `read_scribbles` has them. Raises as there."""
    hints = []
    if png is not None:
        hints.append(read_scribbles(png, width, height, guide.side))
    if guide.points:
        hints.append(draw_points(guide.points, width, height, guide.side))
    return hints[0] if len(hints) == 1 else merge_hints(*hints)


def go_to_network(config: JobConfig, image: SourceImage) -> bool:
    """Whether the image's hints are an input of the network that colours it, which then spreads them itself.

    Of a job's ONNX weights the configuration holds the whole contract (`open_onnx.pin_onnx`).
    """
    contract = config.model.contract
    if not image.guide.has_hints or image.method != config.model.method or not isinstance(contract, dict):
        return False
    return any(one["role"] == "hint_ab" for one in contract["inputs"])


def _resized(ab_2hw: F32, shape: tuple[int, ...]) -> F32:
    """Bilinear, as chroma is upsampled where there are no hints."""
    size = (shape[1], shape[0])
    planes = [Image.fromarray(plane).resize(size, Image.Resampling.BILINEAR) for plane in ab_2hw]
    return np.stack([np.asarray(plane, np.float32) for plane in planes])
