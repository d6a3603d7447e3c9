"""Opening pictures to show: what the job accepts as complete is shown, what is cut off is not."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from pipeline.codecs.opened import opened_picture
from pipeline.config.storage import StorageConfig
from pipeline.evaluate.photograph_list import Photograph, Reader
from pipeline.report.run_report import thumbnail
from pipeline.training.data.batches import decode
from tests.support.paths import SAMPLES

WHOLE = (SAMPLES / "daytona-beach-1900s.jpg").read_bytes()


def progressive() -> bytes:
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(WHOLE)) as image:
        image.save(buffer, "JPEG", progressive=True)
    return buffer.getvalue()


@pytest.mark.parametrize("data", [WHOLE, progressive()], ids=["baseline", "progressive"])
@pytest.mark.parametrize("end", [b"", b"\xff"], ids=["no marker", "half a marker"])
def test_a_missing_end_marker_changes_no_pixel(data: bytes, end: bytes) -> None:
    with opened_picture(data[:-2] + end) as opened, Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(opened, image)


def test_a_jpeg_that_is_cut_short_is_refused() -> None:
    with pytest.raises(OSError, match="truncated"), opened_picture(WHOLE[: len(WHOLE) // 2]) as opened:
        opened.load()


def test_all_who_show_or_measure_read_it(tmp_path) -> None:
    (tmp_path / "a.jpg").write_bytes(WHOLE[:-2])
    reader = Reader(str(tmp_path), 10**8, StorageConfig())
    with Image.open(io.BytesIO(WHOLE)) as image:
        assert reader.read(Photograph("a.jpg", "a")).size == image.size
    assert thumbnail(WHOLE[:-2], 96).tobytes() == thumbnail(WHOLE, 96).tobytes()
    assert decode(WHOLE[:-2]) is not None
