"""A visible label: a line of text below the picture or in its corner, for people who do not see the metadata.

The bundled font has Latin letters. Sizes are relative to the picture, so that a label reads the same on a
thumbnail of any of them. Lightness is measured before a label is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Levels = NDArray[Any]  # uint8 or uint16
F32 = NDArray[np.float32]
Kind = Literal["band", "watermark"]

_SHARE = 0.028  # height of the letters, of the shorter side
_SMALLEST = 10  # pixels; below that nobody reads it
_WIDEST = {"band": 0.94, "watermark": 0.6}  # of the picture's width
_OPACITY = 0.75


@dataclass(frozen=True)
class Label:
    """A label for one picture.

    Attributes:
        rows: rows to be added below the picture; 0 for a watermark.
        top, left: where `paint` and `ink` go.
        paint: float32[h,w], how much of each pixel is covered, 0 to 1.
            ink: float32[h,w], the colour that covers it: 0 black, 1 white.
    """

    width: int
    rows: int
    top: int
    left: int
    paint: F32
    ink: F32

    @property
    def note(self) -> str:
        """A note for the ledger, whose width and height are those of the source."""
        return f"{self.rows} rows with a label were added below"

    def draw(self, rgb: Levels, top: int = 0) -> None:
        """Draw a watermark into rows of the picture, uint8 or uint16[n,W,3], of which the first is `top`."""
        if self.rows:
            return
        begin, end = max(self.top, top), min(self.top + len(self.paint), top + len(rgb))
        if begin < end:
            lines = slice(begin - self.top, end - self.top)
            right = self.left + self.paint.shape[1]
            _blend(rgb[begin - top : end - top, self.left : right], self.paint[lines], self.ink[lines])

    def band(self, channels: int, dtype: Any) -> Levels:
        """The rows below the picture, uint8 or uint16[rows,W,channels], opaque."""
        band = np.full((self.rows, self.width, channels), np.iinfo(dtype).max, dtype)
        if self.rows:
            bottom, right = self.top + self.paint.shape[0], self.left + self.paint.shape[1]
            _blend(band[self.top : bottom, self.left : right, :3], self.paint, self.ink)
        return band


def make_label(kind: str, text: str, width: int, height: int) -> Label | None:
    """The label of a picture of width x height pixels; None for the kind "none"."""
    if kind == "none":
        return None
    size = max(_SMALLEST, round(_SHARE * min(width, height)))
    plain = _written(text, size, 0)
    if plain.shape[1] > _WIDEST[kind] * width:
        size = max(1, int(size * _WIDEST[kind] * width / plain.shape[1]))
        plain = _written(text, size, 0)
    if kind == "band":
        plain = plain[:, :width]
        rows, left = plain.shape[0] + 2 * max(1, size // 2), (width - plain.shape[1]) // 2
        return Label(width, rows, (rows - plain.shape[0]) // 2, left, plain, np.zeros_like(plain))
    stroke = max(1, size // 10)
    outlined = _written(text, size, stroke)[:height, :width]
    letters = np.zeros_like(outlined)
    inner = plain[: max(0, outlined.shape[0] - stroke), : max(0, outlined.shape[1] - stroke)]
    letters[stroke : stroke + inner.shape[0], stroke : stroke + inner.shape[1]] = inner
    top = max(0, height - outlined.shape[0] - size // 2)
    left = max(0, width - outlined.shape[1] - size // 2)
    return Label(width, 0, top, left, outlined * np.float32(_OPACITY), letters)


def _written(text: str, size: int, stroke: int) -> F32:
    """The text's coverage, float32[h,w] from 0 to 1, as small as it is."""
    font = ImageFont.load_default(size)
    left, top, right, bottom = font.getbbox(text, stroke_width=stroke)
    width, height = max(1, round(right - left)), max(1, round(bottom - top))
    canvas = Image.new("L", (width, height))
    ImageDraw.Draw(canvas).text((-left, -top), text, fill=255, font=font, stroke_width=stroke)
    return np.asarray(canvas, np.float32) / np.float32(255)


def _blend(rgb: Levels, paint: F32, ink: F32) -> None:
    most = np.iinfo(rgb.dtype).max
    cover = paint[..., None]
    rgb[...] = np.rint(rgb * (1 - cover) + most * ink[..., None] * cover).astype(rgb.dtype)
