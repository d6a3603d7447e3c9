"""The comparison sheet: pictures are below their headings, whatever their shapes."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from pipeline.report.grid import GridRow, grid_sheet

RED, BLUE = (200, 0, 0), (0, 0, 200)


def test_pictures_stand_in_their_cells() -> None:
    wide, tall = Image.new("RGB", (90, 60), RED), Image.new("RGB", (40, 80), BLUE)
    sheet = grid_sheet(["One", "Two"], [GridRow([wide, tall], "key"), GridRow(["gone", wide])], 60, "Title")
    pixels = np.asarray(sheet)
    assert sheet.width == 2 * 24 + 2 * 90 + 6
    top = 24 + 44 + 34
    assert (pixels[top + 1 : top + 59, 24 + 1 : 24 + 89] == RED).all()
    middle = 24 + 96 + 45
    assert (pixels[top + 1 : top + 59, middle - 14 : middle + 14] == BLUE).all()  # 30 wide, centred
    assert not (pixels[top : top + 60, 24 + 96 : middle - 16] == BLUE).all(-1).any()
    second = top + 60 + 30
    assert (pixels[second + 1 : second + 59, 24 + 97 : 24 + 185] == RED).all()
    assert not (pixels[second : second + 60, 24 : 24 + 90] == RED).all(-1).any()


def test_headings_and_captions_are_drawn() -> None:
    row = [GridRow([Image.new("RGB", (60, 60), RED)], "a key")]
    with_text = np.asarray(grid_sheet(["Heading"], row, 60)).astype(int)
    bare = np.asarray(grid_sheet([""], [GridRow(row[0].pictures)], 60)).astype(int)
    changed = np.abs(with_text - bare).sum(-1).any(1).nonzero()[0]
    assert ((changed > 24) & (changed < 24 + 34)).any()  # the heading
    assert (changed > 24 + 34 + 60).any()  # the caption
    assert not ((changed >= 24 + 34) & (changed < 24 + 34 + 60)).any()  # the picture is left alone


def test_rows_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="every row needs 2 pictures"):
        grid_sheet(["One", "Two"], [GridRow([])], 60)
