"""Apply a person's hints: spread colours given at single places over the photograph, and scale chroma.

Plain functions, on a CPU.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.color.luminance import downscale_luminance
from pipeline.color.spaces import L_U16_SCALE
from pipeline.color.upsampling import guided_upsample
from pipeline.config.job import JobConfig
from pipeline.errors import FailureCode, ImageFailure
from pipeline.guides.guide import Guide
from pipeline.guides.scribbles import draw_points, merge_hints, read_scribbles
from pipeline.guides.strokes import draw_strokes
from pipeline.models.propagation import propagate
from pipeline.shard.compose import Composed, ComposeSettings, compose
from pipeline.shard.job import SourceImage

F32 = NDArray[np.float32]


def color_guided(
    l_u16: NDArray[np.uint16],
    ab_2hw: F32 | None,
    guide: Guide,
    png: bytes | None = None,
    *,
    chroma: float = 1.0,
) -> Composed:
    """A photograph in colour, 8-bit sRGB of its own size, as a run with this guide colours it.

    Args:
        l_u16: its lightness, `L_u16` uint16[H,W].
        ab_2hw, png: as `guided_chroma` takes them.
        chroma: `model.chroma` of the run.

    Raises:
        ImageFailure: as `spread_hints`.
    """
    return compose(l_u16, guided_chroma(l_u16, ab_2hw, guide, png), None, ComposeSettings(chroma=chroma))


def guided_chroma(
    l_u16: NDArray[np.uint16],
    ab_2hw: F32 | None,
    guide: Guide,
    png: bytes | None = None,
    *,
    spreads: bool = True,
) -> F32:
    """The chroma to compose, float32[2,h,w] in Lab units of any size: hints spread in it, then multiplied.

    Args:
        l_u16: lightness of the photograph, `L_u16` uint16[H,W].
        ab_2hw: the prediction, float32[2,h,w] of any size; None: hints alone give the colours.
        png: the guide's scribbles, encoded.
        spreads: whether hints are to be spread here; False: the network has seen them.

    Raises:
        ImageFailure: as `spread_hints`; GUIDE_INVALID where there is neither a prediction nor a hint.
    """
    if guide.has_hints and spreads:
        return times_chroma(spread_hints(l_u16, ab_2hw, guide, png), guide)
    if ab_2hw is None:
        raise ImageFailure(FailureCode.GUIDE_INVALID, "it has no source of colours: no method and no hint")
    return times_chroma(ab_2hw, guide)


def times_chroma(ab_2hw: F32, guide: Guide) -> F32:
    """Chroma times the guide's factor; unchanged if the guide has none."""
    return ab_2hw if guide.chroma is None else ab_2hw * np.float32(guide.chroma)


def spread_hints(l_u16: NDArray[np.uint16], ab_2hw: F32 | None, guide: Guide, png: bytes | None) -> F32:
    """Chroma float32[2,H,W] in Lab units of a photograph `L_u16` uint16[H,W] whose guide has hints.

    Near a hint, its colour; far from all hints, the prediction. Without one, the hints' colours everywhere.

    Args:
        ab_2hw: the prediction, float32[2,h,w] of any size, or None.
        guide: strokes take precedence over points, and points over scribbles; all are spread at its `side`.
        png: the scribbles, encoded.

    Raises:
        ImageFailure: GUIDE_INVALID if the hints are damaged, do not fit, or are empty. If erasers removed all
            strokes, only without a prediction.
    """
    height, width = l_u16.shape
    known = hints_of(guide, png, width, height)
    if not known[2].any():
        if ab_2hw is None:
            raise ImageFailure(FailureCode.GUIDE_INVALID, "nothing remains of its strokes: all are erased")
        return ab_2hw
    L_hw = downscale_luminance(l_u16, guide.side)
    toward = None if ab_2hw is None else _resized(ab_2hw, L_hw.shape)
    spread = propagate(L_hw, known[:2], known[2], toward_2HW=toward)
    return guided_upsample(spread, L_hw, l_u16.astype(np.float32) / np.float32(L_U16_SCALE))


def hints_of(guide: Guide, png: bytes | None, width: int, height: int) -> F32:
    """Strokes over points over scribbles for a photograph of this size, as `read_scribbles` has them. Raises
    as there."""
    hints = []
    if png is not None:
        hints.append(read_scribbles(png, width, height, guide.side))
    if guide.points:
        hints.append(draw_points(guide.points, width, height, guide.side))
    if guide.strokes:
        hints.append(draw_strokes(guide.strokes, width, height, guide.side))
    return functools.reduce(merge_hints, hints)


def network_takes_hints(config: JobConfig, image: SourceImage) -> bool:
    """Whether the network that colours the image takes its hints as input and spreads them itself.

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
