"""Labels are legible, equally large on every picture, and exactly where they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.shard.label import make_label

TEXT = "Colours added by software"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_band_is_white_with_black_letters_in_its_middle(dtype: type) -> None:
    label = make_label("band", TEXT, 1200, 800)
    assert label is not None
    band = label.band(4, dtype)
    most = np.iinfo(dtype).max
    assert band.shape == (label.rows, 1200, 4)
    assert 20 < label.rows < 80
    assert (band[..., 3] == most).all()
    assert (band[[0, -1]] == most).all()
    dark = np.nonzero((band[..., 0] < most // 4).any(axis=0))[0]
    assert abs((dark[0] + dark[-1]) / 2 - 600) < 10
    picture = np.zeros((800, 1200, 3), dtype)
    label.draw(picture)
    assert not picture.any()


@given(st.integers(60, 900), st.integers(60, 900), st.integers(1, 300))
@settings(max_examples=30, deadline=None)
def test_a_watermark_is_the_same_in_strips_and_in_its_corner(width: int, height: int, rows: int) -> None:
    label = make_label("watermark", TEXT, width, height)
    assert label is not None
    assert label.rows == 0
    gray = np.full((height, width, 3), 128, np.uint8)
    whole, strips = gray.copy(), gray.copy()
    label.draw(whole)
    for top in range(0, height, rows):
        label.draw(strips[top : top + rows], top)
    np.testing.assert_array_equal(strips, whole)
    changed = (whole != gray).any(axis=2)
    assert changed.any()
    assert not changed[: height // 2].any()
    assert not changed[:, : width // 4].any()
    assert (whole[..., 0] == whole[..., 1]).all()


@given(st.sampled_from(["band", "watermark"]), st.integers(1, 40), st.integers(1, 40), st.text(min_size=1))
@settings(deadline=None)
def test_no_picture_is_too_small_and_no_text_too_odd(kind: str, width: int, height: int, text: str) -> None:
    label = make_label(kind, text, width, height)
    assert label is not None
    label.draw(np.zeros((height, width, 3), np.uint8))
    assert label.band(3, np.uint8).shape == (label.rows, width, 3)


def test_none_is_none() -> None:
    assert make_label("none", TEXT, 9, 9) is None
