"""Prepare guide pictures (a reference's colours, a style's lightness) at the size that a method sees."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.codecs.upright import Pixels
from pipeline.color import spaces
from pipeline.color.luminance import model_size

F32 = NDArray[np.float32]

# ab units of the most colourful 1 %: JPEG noise on gray stays below, the palest tint above
_LEAST_CHROMA = 2.0
_OWN_SIDE = 2048  # chroma of larger photographs is laid along the edges of their lightness
_STRIP_ROWS = 256  # of which Lab is computed at a time: it takes 50 bytes a pixel


def lab_picture(pixels: Pixels, side: int) -> F32:
    """float32[3,h,w] of CIELAB, h and w as `luminance.model_size` gives; transparency is ignored."""
    rgb8 = pixels.srgb8()
    if rgb8.ndim == 2:
        rgb8 = np.repeat(rgb8[..., None], 3, axis=2)
    height, width = model_size(rgb8.shape[0], rgb8.shape[1], side)
    small = Image.fromarray(np.ascontiguousarray(rgb8)).resize((width, height), Image.Resampling.BILINEAR)
    lab = spaces.srgb_to_lab(np.asarray(small, np.float32) / 255)
    return np.ascontiguousarray(np.moveaxis(lab, -1, 0), np.float32)


def own_lab_picture(pixels: Pixels, side: int) -> F32:
    """As `lab_picture`, of the picture's own size up to a longest side of at least `_OWN_SIDE` pixels."""
    rgb8 = pixels.srgb8()
    if rgb8.ndim == 2:
        rgb8 = np.repeat(rgb8[..., None], 3, axis=2)
    height, width = rgb8.shape[:2]
    if (scale := max(side, _OWN_SIDE) / max(height, width)) < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = Image.fromarray(np.ascontiguousarray(rgb8)).resize(size, Image.Resampling.BILINEAR)
        rgb8 = np.asarray(image)
    lab = np.empty((3, *rgb8.shape[:2]), np.float32)
    for top in range(0, len(rgb8), _STRIP_ROWS):
        rows = slice(top, top + _STRIP_ROWS)
        lab[:, rows] = np.moveaxis(spaces.srgb_to_lab(rgb8[rows].astype(np.float32) / 255), -1, 0)
    return lab


def picture_input(kind: str, pixels: Pixels, side: int) -> F32:
    """What a method takes as this kind of guide: "reference" float32[3,h,w] of Lab, "style" [1,h,w] of L*,
    "picture" as `own_lab_picture`.

    Raises:
        ValueError: a reference or picture without colour.
    """
    lab = own_lab_picture(pixels, side) if kind == "picture" else lab_picture(pixels, side)
    if kind == "style":
        return lab[:1]
    if np.percentile(np.hypot(lab[1], lab[2]), 99) < _LEAST_CHROMA:
        raise ValueError("has no colour")
    return lab
