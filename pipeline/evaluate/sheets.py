"""Contact sheets of an evaluation: choose their photographs, and draw them."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

from PIL import Image

from pipeline.errors import ConfigError
from pipeline.evaluate.photograph_list import Photograph
from pipeline.evaluate.settings import Sheet
from pipeline.report.grid import GridRow, grid_sheet

_JPEG_QUALITY = 90


def choose(sheet: Sheet, photos: Sequence[Photograph]) -> list[str]:
    """Keys of the photographs on the sheet: the ones it names, else `count` evenly spaced ones of its groups.

    Raises ConfigError where it names a photograph or group that is not measured.
    """
    keys, groups = {photo.key for photo in photos}, {photo.group for photo in photos}
    absent = [key for key in sheet.keys if key not in keys]
    if absent:
        raise ConfigError(f"the sheet {sheet.name!r} names {absent[0]!r}, which is not among the photographs")
    unknown = [group for group in sheet.groups if group not in groups]
    if unknown:
        there = ", ".join(sorted(groups))
        raise ConfigError(f"the sheet {sheet.name!r} names the group {unknown[0]!r}; there are: {there}")
    if sheet.keys:
        return list(sheet.keys)
    candidates = [photo.key for photo in photos if not sheet.groups or photo.group in sheet.groups]
    count = min(sheet.count, len(candidates))
    # The middle of each of `count` equal stretches, so that one photograph is the middle one.
    return [candidates[(2 * i + 1) * len(candidates) // (2 * count)] for i in range(count)]


def draw(
    sheet: Sheet, keys: Sequence[str], pictures: Mapping[tuple[str, int, str], bytes], side: int
) -> Image.Image:
    """The sheet from PNG bytes by (key, short side, colored_by); what is not there is a gray field."""
    rows = []
    for key in keys:
        cells = [pictures.get((key, sheet.side or side, who)) for who in sheet.columns.values()]
        shown = [Image.open(io.BytesIO(png)) if png is not None else "unreadable" for png in cells]
        rows.append(GridRow(shown, key))
    return grid_sheet(list(sheet.columns), rows, sheet.height, sheet.title)


def jpeg(picture: Image.Image) -> bytes:
    """Without chroma subsampling: colours are what the sheet is about."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()
