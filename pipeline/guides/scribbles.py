"""Hints for single pixels: convert scribbles (a PNG) and points (discs) to chroma with confidence."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.color import spaces
from pipeline.color.luminance import model_size
from pipeline.errors import FailureCode, ImageFailure
from pipeline.guides.objects import proportional
from pipeline.guides.picture_sizes import png_head

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]

_STRIP_PIXELS = 2**20  # of the PNG at a time: what is computed of them takes 100 bytes a pixel
_LARGEST_PNG = 4  # times the source's pixels


def read_scribbles(png: bytes, width: int, height: int, side: int) -> F32:
    """Scribbles for a photograph of `width` x `height` pixels, upright, as hints for `models.propagation`.

    Args:
        png: an image with alpha of the photograph's size or proportions; colours are sRGB, known where
            alpha is above 0. Alpha is the confidence.
        side: the longer side at which the hints are used, as in `luminance.model_size`.

    Returns:
        float32[3,h,w], (h, w) from `model_size`: a and b in Lab units, and confidence in [0, 1]. A pixel gets
        the mean colour of everything inside it, weighted by alpha, and the largest alpha instead of the mean,
        so a thin stroke is as certain as a broad one.

    Raises:
        ImageFailure: GUIDE_INVALID if it is not a PNG, is damaged, has no alpha, is empty or does not fit.
    """
    head = png_head(png)
    if head is None:
        raise _invalid("the scribbles are not a PNG")
    if not proportional((head.width, head.height), (width, height)):
        raise _invalid(
            f"the scribbles of {head.width} x {head.height} do not fit a photograph of {width} x {height}: "
            "they must have its size or its proportions"
        )
    if head.width * head.height > _LARGEST_PNG * max(width * height, side * side):
        raise _invalid(
            f"the scribbles of {head.width} x {head.height} are too large for a photograph of "
            f"{width} x {height}: draw them at its size"
        )
    h, w = model_size(height, width, side)
    sums = _Sums(h, w)
    for rgba, top, rows in _strips(png, h, w):
        known = np.flatnonzero(rgba[..., 3])
        y, x = np.divmod(known, rgba.shape[1])
        place = (y + top) * h // rows * w + x * w // rgba.shape[1]
        drawn = rgba.reshape(-1, 4)[known]
        sums.add(place, _ab(drawn[:, :3]), drawn[:, 3] / 255)
    hints = sums.hints()
    if not hints[2].any():
        raise _invalid("nothing is drawn in the scribbles: alpha is 0 everywhere")
    return hints


def draw_points(points: Iterable[tuple[float, float, str, float]], width: int, height: int, side: int) -> F32:
    """Discs for a photograph of `width` x `height` pixels, upright: as `read_scribbles` returns them.

    Each point is (x, y, "#rrggbb", radius) in pixels of the photograph, (0, 0) the middle of its first one. A
    later disc covers an earlier one. A disc covers at least one pixel of the hints.

    Raises:
        ImageFailure: GUIDE_INVALID where there are none, or one lies outside.
    """
    h, w = model_size(height, width, side)
    hints = np.zeros((3, h, w), np.float32)
    for x, y, colour, radius in points:
        if not (0 <= x < width and 0 <= y < height):
            raise _invalid(f"the point ({x:g}, {y:g}) lies outside the photograph of {width} x {height}")
        rgb = np.frombuffer(bytes.fromhex(colour.removeprefix("#")), np.uint8)
        # where the middle of a pixel of the hints lies in the photograph
        across = ((np.arange(w) + 0.5) * width / w - 0.5 - x) / max(radius, 0.5 * width / w)
        down = ((np.arange(h) + 0.5) * height / h - 0.5 - y) / max(radius, 0.5 * height / h)
        inside = across**2 + down[:, None] ** 2 <= 1
        inside[min(int((y + 0.5) * h / height), h - 1), min(int((x + 0.5) * w / width), w - 1)] = True
        hints[:2, inside] = _ab(rgb[None])[0][:, None]
        hints[2, inside] = 1
    if not hints[2].any():
        raise _invalid("there are no points")
    return hints


def merge_hints(under: F32, over: F32) -> F32:
    """Combine hints of equal size; where `over` has a hint, it takes precedence."""
    return np.where(over[2] > 0, over, under)


def _invalid(message: str) -> ImageFailure:
    return ImageFailure(FailureCode.GUIDE_INVALID, message)


def _ab(rgb8_N3: U8) -> F64:
    """sRGB uint8[N,3] to a, b float64[N,2] in Lab units."""
    return np.asarray(spaces.srgb_to_lab(rgb8_N3.astype(np.float64) / 255)[:, 1:])


class _Sums:
    """Colours and confidences, added up by the pixel of the hints in which they lie."""

    def __init__(self, height: int, width: int) -> None:
        self._shape = (height, width)
        self._ab = np.zeros((2, height * width))
        self._weight = np.zeros(height * width)
        self._largest = np.zeros(height * width)

    def add(self, place_N: NDArray[np.int64], ab_N2: F64, weight_N: F64) -> None:
        size = self._weight.size
        self._weight += np.bincount(place_N, weight_N, size)
        for channel in range(2):
            self._ab[channel] += np.bincount(place_N, weight_N * ab_N2[:, channel], size)
        np.maximum.at(self._largest, place_N, weight_N)

    def hints(self) -> F32:
        ab = self._ab / np.where(self._weight > 0, self._weight, 1)
        return np.concatenate([ab, self._largest[None]]).reshape(3, *self._shape).astype(np.float32)


def _strips(png: bytes, h: int, w: int) -> Iterator[tuple[U8, int, int]]:
    """(RGBA uint8[n,W,4], its first row, rows of the whole) from the top, W >= w and the whole >= h rows.

    Raises ImageFailure for a PNG that cannot be decoded or has no alpha.
    """
    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
            image.load()
            if not image.has_transparency_data:
                raise _invalid("the scribbles have no alpha channel: it says where colour is given")
            rgba = image.convert("RGBA")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise _invalid(f"the scribbles cannot be decoded: {' '.join(str(error).split())[:120]}") from None
    if rgba.width < w or rgba.height < h:  # nothing may fall between its pixels
        rgba = rgba.resize((max(rgba.width, w), max(rgba.height, h)), Image.Resampling.NEAREST)
    step = max(1, _STRIP_PIXELS // rgba.width)
    for top in range(0, rgba.height, step):
        part = rgba.crop((0, top, rgba.width, min(top + step, rgba.height)))
        yield np.asarray(part), top, rgba.height
