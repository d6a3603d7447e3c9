"""The comparison sheet: one photograph a row, one way to colour it a column, headings on top."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from pipeline.report.sheet import DIM, GROUND, INK, draw_text, paste

_MARGIN, _GAP = 24, 6  # pixels around the sheet, between columns
_TITLE, _HEAD, _CAPTION = 44, 34, 30
_LONGEST = 3 / 2  # width over height of a cell: wider pictures are shrunk to it, narrower ones centred


@dataclass(frozen=True)
class GridRow:
    """One photograph: one picture per column of the sheet; a string says why a picture is missing."""

    pictures: Sequence[Image.Image | str]
    caption: str = ""


def grid_sheet(headings: Sequence[str], rows: Sequence[GridRow], height: int, title: str = "") -> Image.Image:
    """All rows on one dark, neutral sheet, RGB.

    Args:
        headings: column headings, from the left.
        height: of a cell, in pixels; its width is that of the widest picture, at most 3/2 of the height.

    Raises ValueError where a row has another number of pictures than there are headings.
    """
    if any(len(row.pictures) != len(headings) for row in rows):
        raise ValueError(f"every row needs {len(headings)} pictures, one below each heading")
    width = _cell_width(rows, height)
    top = _MARGIN + (_TITLE if title else 0)
    size = (
        2 * _MARGIN + len(headings) * (width + _GAP) - _GAP,
        top + _HEAD + len(rows) * (height + _CAPTION) + _MARGIN // 2,
    )
    sheet = Image.new("RGB", size, GROUND)
    draw = ImageDraw.Draw(sheet)
    draw_text(draw, (_MARGIN, _MARGIN), title, 20, INK, size[0] - 2 * _MARGIN)
    for column, heading in enumerate(headings):
        middle = _MARGIN + column * (width + _GAP) + width // 2
        draw_text(draw, (middle, top + 4), heading, 17, INK, width, anchor="ma")
    y = top + _HEAD
    for row in rows:
        for column, picture in enumerate(row.pictures):
            _place(sheet, picture, (_MARGIN + column * (width + _GAP), y), (width, height))
        draw_text(draw, (_MARGIN, y + height + 6), row.caption, 12, DIM, size[0] - 2 * _MARGIN)
        y += height + _CAPTION
    return sheet


def _cell_width(rows: Sequence[GridRow], height: int) -> int:
    shown = [p for row in rows for p in row.pictures if not isinstance(p, str)]
    widest = max((picture.width / picture.height for picture in shown), default=_LONGEST)
    return round(height * min(widest, _LONGEST))


def _place(
    sheet: Image.Image, picture: Image.Image | str, corner: tuple[int, int], cell: tuple[int, int]
) -> None:
    """Paste the picture in the middle of its cell, as large as fits."""
    if isinstance(picture, str):
        paste(sheet, picture, (*corner, *cell))
        return
    factor = min(cell[0] / picture.width, cell[1] / picture.height)
    w, h = max(1, round(picture.width * factor)), max(1, round(picture.height * factor))
    paste(sheet, picture, (corner[0] + (cell[0] - w) // 2, corner[1] + (cell[1] - h) // 2, w, h))
