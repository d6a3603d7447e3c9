"""The contact sheet: before | after pairs in justified rows on a dark, neutral ground.

The ground is neutral because a coloured surround changes how adjacent colours are seen (ISO 3664 requires
neutral gray viewing booths for the same reason).
"""

from __future__ import annotations

import math
import unicodedata
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

GROUND = (24, 24, 24)
MISSING = (58, 58, 58)
INK = (228, 228, 228)
DIM = (150, 150, 150)
_MARGIN, _GAP, _SEAM = 28, 28, 3  # pixels around the sheet, between pairs, between before and after
_HEADER = 64
_CAPTION = 54
_MOST_LETTERS = 400  # per line: no sheet has room for more
# Rows may grow by this factor to fill the width; a 3:2 landscape is a whole thumbnail wide then, never more.
_GROWTH = 1.2
_ROW_BY_THUMBNAIL = 2 / 3 / _GROWTH

#: One pair's place in a row: the width and height of each of its two pictures.
Cell = tuple[int, int]


@dataclass(frozen=True)
class Pair:
    """One photograph before and after; a string instead of a picture says why it is missing."""

    key: str
    before: Image.Image | str
    after: Image.Image | str
    caption: str = ""


def contact_sheet(pairs: list[Pair], thumbnail: int, title: str = "") -> Image.Image:
    """All pairs on one sheet, two landscapes or three portraits wide.

    Args:
        pairs: pictures of any size, mode RGB; shown at `thumbnail` pixels on their longest side at most.
        title: the line on top, at the left.

    Returns:
        RGB, about 4 thumbnails wide and as high as it needs.
    """
    width = 4 * thumbnail + 2 * _SEAM + _GAP
    rows = _justify([(pair, _cell(pair, thumbnail)) for pair in pairs], width)
    height = sum(max(h for _, (_, h) in row) + _CAPTION for row in rows)
    sheet = Image.new("RGB", (width + 2 * _MARGIN, _HEADER + height + _MARGIN), GROUND)
    draw = ImageDraw.Draw(sheet)
    draw_text(draw, (_MARGIN, 22), title, 20, INK, width)
    draw_text(draw, (_MARGIN + width, 24), "before | after", 16, DIM, width, anchor="ra")
    y = _HEADER
    for row in rows:
        row_height = max(h for _, (_, h) in row)
        x = _MARGIN
        for pair, (w, h) in row:
            paste(sheet, pair.before, (x, y + row_height - h, w, h))
            paste(sheet, pair.after, (x + w + _SEAM, y + row_height - h, w, h))
            draw_text(draw, (x, y + row_height + 8), pair.key, 15, INK, 2 * w + _SEAM)
            draw_text(draw, (x, y + row_height + 27), pair.caption, 12, DIM, 2 * w + _SEAM)
            x += 2 * w + _SEAM + _GAP
        y += row_height + _CAPTION
    return sheet


def _cell(pair: Pair, thumbnail: int) -> Cell:
    """Width and height of one picture of the pair in a row of the usual height."""
    shown = next((p for p in (pair.after, pair.before) if not isinstance(p, str)), None)
    w, h = shown.size if shown else (3, 2)
    scale = min(thumbnail / _GROWTH / w, thumbnail * _ROW_BY_THUMBNAIL / h)
    return max(1, round(w * scale)), max(1, round(h * scale))


def _justify(cells: list[tuple[Pair, Cell]], width: int) -> list[list[tuple[Pair, Cell]]]:
    """Rows of exactly the width, grown or shrunk, whichever is less; the last may stay short."""
    rows: list[list[tuple[Pair, Cell]]] = []
    row: list[tuple[Pair, Cell]] = []
    for cell in cells:
        before, after = (_fit(row, width) if row else math.inf), _fit([*row, cell], width)
        if after < 1 and before <= _GROWTH and before * after < 1:
            rows.append(_scale(row, before))
            row = [cell]
        elif after <= 1:
            rows.append(_scale([*row, cell], after))
            row = []
        else:
            row.append(cell)
    return [*rows, row] if row else rows


def _fit(row: list[tuple[Pair, Cell]], width: int) -> float:
    """The factor by which the row's pictures fill the width."""
    frames = (_SEAM + _GAP) * len(row) - _GAP
    return (width - frames) / sum(2 * w for _, (w, _) in row)


def _scale(row: list[tuple[Pair, Cell]], factor: float) -> list[tuple[Pair, Cell]]:
    return [(pair, (max(1, int(w * factor)), max(1, round(h * factor)))) for pair, (w, h) in row]


def paste(sheet: Image.Image, picture: Image.Image | str, box: tuple[int, int, int, int]) -> None:
    """The picture, scaled to `box` (x, y, width, height), or a gray field that says why there is none."""
    x, y, w, h = box
    if isinstance(picture, str):
        ImageDraw.Draw(sheet).rectangle((x, y, x + w - 1, y + h - 1), fill=MISSING)
        draw = ImageDraw.Draw(sheet)
        draw_text(draw, (x + w // 2, y + h // 2 - 20), "no picture", 14, INK, w - 16, anchor="ma")
        draw_text(draw, (x + w // 2, y + h // 2 + 2), picture, 12, DIM, w - 16, anchor="ma")
    else:
        sheet.paste(picture.convert("RGB").resize((w, h), Image.Resampling.LANCZOS), (x, y))


def draw_text(
    draw: ImageDraw.ImageDraw,
    at: tuple[int, int],
    text: str,
    size: int,
    ink: tuple[int, int, int],
    width: int,
    anchor: str = "la",
) -> None:
    """Draw one line. If it is wider than `width`, omit its middle: a key is recognised by its ends."""
    font = ImageFont.load_default(size)
    whole = line = _ascii(text)[:_MOST_LETTERS]
    ends = len(whole) // 2
    while font.getlength(line) > width and ends:
        ends -= 1
        line = f"{whole[:ends]}...{whole[len(whole) - ends :]}"
    if font.getlength(line) <= width:
        draw.text(at, line, font=font, fill=ink, anchor=anchor)


def _ascii(text: str) -> str:
    """Text without accents, other characters as question marks, because Pillow's font has only ASCII. The
    page shows the full key."""
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(c if c.isascii() else "?" for c in decomposed if not unicodedata.combining(c))
