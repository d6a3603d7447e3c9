"""Convert between our units and a graph's numbers: lightness and hints in, chroma out. Plain numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.color import spaces
from pipeline.color.luminance import model_size
from pipeline.color.upsampling import guided_upsample
from pipeline.models.methods.onnx.contract import AB_LIMIT, Input, Output, Size

F32 = NDArray[np.float32]


def seen_size(size: Size, height: int, width: int) -> tuple[int, int]:
    """(height, width) at which the graph sees a photograph."""
    if size.fit == "stretch":
        return size.side, size.side
    return model_size(height, width, size.side, size.multiple_of)


def resized(plane_hw: F32, shape: tuple[int, int]) -> F32:
    """Bilinear, as wide as the scale where it is reduced: grain does not alias."""
    if plane_hw.shape == shape:
        return plane_hw
    image = Image.fromarray(plane_hw).resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
    return np.asarray(image, np.float32)


def picture_values(one: Input, L_hw: F32, channels: int) -> F32:
    """float32[channels,h,w] of a picture input, for L* in [0, 100] at its size.

    The gray of L* is the sRGB level whose lightness that is; the BT.601 luma of a gray is its level.
    """
    L_hw = np.clip(L_hw, 0, 100)
    if one.holds == "L":
        unit = L_hw / np.float32(100)
    else:
        unit = spaces.linear_to_srgb(spaces.lab_f_inverse((L_hw + 16) / 116).astype(np.float32))
        unit = np.clip(unit, 0, 1)
    return _scaled(one, np.repeat(unit[None], channels, axis=0))


def hint_values(one: Input, hints_3hw: F32 | None, shape: tuple[int, int]) -> F32:
    """float32[2,h,w] of `hint_ab`, or [1,h,w] of `hint_mask`, from a, b and confidence of any size.

    Unknown places are gray and have the confidence 0; without hints all are.
    """
    at_size = np.zeros((3, *shape), np.float32) if hints_3hw is None else hints_at(hints_3hw, shape)
    if one.role == "hint_mask":
        return _scaled(one, at_size[2:])
    return _scaled(one, (np.clip(at_size[:2], -AB_LIMIT, AB_LIMIT) + AB_LIMIT) / (2 * AB_LIMIT))


def hints_at(hints_3hw: F32, shape: tuple[int, int]) -> F32:
    """Hints at another size: a place takes the mean colour of what falls into it, weighted by confidence, and
    the largest confidence: a thin stroke is as sure as a broad one."""
    h, w = shape
    rows = np.repeat(hints_3hw, -(-h // hints_3hw.shape[1]), axis=1)  # none of the larger grid stays empty
    full = np.repeat(rows, -(-w // hints_3hw.shape[2]), axis=2)
    y, x = np.nonzero(full[2] > 0)
    place = (y * h // full.shape[1]) * w + x * w // full.shape[2]
    confidence = full[2, y, x].astype(np.float64)
    total = np.bincount(place, confidence, h * w)
    known = np.where(total > 0, total, 1)
    ab = [np.bincount(place, confidence * full[c, y, x], h * w) / known for c in range(2)]
    largest = np.zeros(h * w)
    np.maximum.at(largest, place, confidence)
    return np.stack([*ab, largest]).reshape(3, h, w).astype(np.float32)


def _scaled(one: Input, unit_chw: F32) -> F32:
    low, high = one.range
    mean, std = (np.array(values, np.float64)[:, None, None] for values in (one.mean, one.std))
    return np.ascontiguousarray((low + unit_chw.astype(np.float64) * (high - low) - mean) / std, np.float32)


def output_values(output: Output, raw_chw: F32) -> F32:
    """The graph's numbers in our units: see `Output`."""
    return raw_chw * np.float32(output.scale) + np.float32(output.offset)


def chroma_of(values_chw: F32, space: str, recombine: str, L_hw: F32) -> F32:
    """a, b float32[2,h,w] in Lab units of what the graph gives, for lightness `L_hw` of the same size.

    "lab" takes a and b of an RGB colour; "yuv601" its U and V, and the a, b that these have at the
    photograph's own lightness (DeOldify joins them in BT.601 YUV, which moves L*; here L* stays).
    """
    if space == "ab":
        return np.ascontiguousarray(values_chw)
    last = np.moveaxis(values_chw, 0, -1)
    if space == "rgb":
        last = np.clip(last, 0, 1)
        if recombine == "lab":
            return _first(spaces.srgb_to_lab(last)[..., 1:])
        last = spaces.srgb_to_yuv(last)[..., 1:]
    return _first(spaces.uv_to_ab(L_hw.astype(last.dtype), np.ascontiguousarray(last)))


def enlarged(ab_2hw: F32, L_hw: F32, L_HW: F32) -> F32:
    """Chroma along the edges of the lightness that was decoded, float32[2,H,W], where that is the finer grid;
    else as it is, for composition takes any size."""
    if L_HW.shape[0] <= ab_2hw.shape[1] and L_HW.shape[1] <= ab_2hw.shape[2]:
        return ab_2hw
    if not np.isfinite(ab_2hw).all():  # composition refuses it, with the reason
        return np.full((2, *L_HW.shape), np.nan, np.float32)
    return guided_upsample(ab_2hw, L_hw, np.ascontiguousarray(L_HW, np.float32))


def _first(values_hw2: NDArray[np.floating]) -> F32:
    return np.ascontiguousarray(np.moveaxis(values_hw2, -1, 0), np.float32)
