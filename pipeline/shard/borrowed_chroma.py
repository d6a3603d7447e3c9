"""Transfer the chroma of another tool's picture to the photograph's pixels. Plain functions, on a CPU."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.color.spaces import L_U16_SCALE
from pipeline.color.upsampling import guided_upsample

F32 = NDArray[np.float32]

_NEARLY = 0.75  # of the photograph's size: from here on the picture has its edges, and straight lines do


def along_edges(ab_2hw: F32, l_u16: NDArray[np.uint16]) -> F32:
    """Chroma of a picture, float32[2,h,w], ready to be composed with a photograph `L_u16` uint16[H,W].

    A smaller picture's is enlarged along the edges of the lightness, a larger one's is reduced with a filter
    as wide as the scale. One of nearly the same size stays as it is; `compose` does the rest.
    """
    height, width = l_u16.shape
    h, w = ab_2hw.shape[1:]
    if h > height or w > width:
        size = (min(w, width), min(h, height))
        planes = [Image.fromarray(plane).resize(size, Image.Resampling.BILINEAR) for plane in ab_2hw]
        ab_2hw = np.stack([np.asarray(plane, np.float32) for plane in planes])
        h, w = ab_2hw.shape[1:]
    if h >= _NEARLY * height and w >= _NEARLY * width:
        return ab_2hw
    reduced = Image.fromarray(l_u16).resize((w, h), Image.Resampling.BILINEAR)
    L_hw = np.asarray(reduced).astype(np.float32) / np.float32(L_U16_SCALE)
    return guided_upsample(ab_2hw, L_hw, l_u16.astype(np.float32) / np.float32(L_U16_SCALE))
