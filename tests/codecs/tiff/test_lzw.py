"""LZW, read back by libtiff (Pillow, libvips) and by tifffile: `test_tiff.py` has the layouts."""

from __future__ import annotations

import io

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.codecs.tiff.lzw import lzw, most_bytes


def unpacked(data: bytes, count: int) -> bytes:
    """What libtiff makes of it: one strip of a gray TIFF without differences."""
    tags = {
        256: count,
        257: 1,
        258: 8,
        259: 5,
        262: 1,
        273: 8 + 2 + 9 * 12 + 4,
        277: 1,
        278: 1,
        279: len(data),
    }
    entries = b"".join(
        tag.to_bytes(2, "little") + b"\x04\x00\x01\x00\x00\x00" + value.to_bytes(4, "little")
        for tag, value in tags.items()
    )
    head = b"II*\x00\x08\x00\x00\x00" + len(tags).to_bytes(2, "little") + entries + bytes(4)
    return Image.open(io.BytesIO(head + data)).tobytes()


@given(st.integers(1, 20_000), st.sampled_from([1, 2, 3, 16, 256]), st.integers(0, 9))
@example(count=20_000, levels=256, seed=0)  # noise: the table is full and emptied several times
@example(count=20_000, levels=1, seed=0)
@settings(deadline=None)  # the first call compiles
def test_libtiff_reads_it_back(count: int, levels: int, seed: int) -> None:
    data = np.random.default_rng(seed).integers(0, levels, count, np.uint8).tobytes()
    packed = lzw(data)
    assert len(packed) <= most_bytes(count)
    assert unpacked(packed, count) == data


def test_every_length_at_which_code_widths_change() -> None:
    data = np.random.default_rng(1).integers(0, 256, 4200, np.uint8).tobytes()
    for count in (*range(1, 5), *range(250, 262), *range(760, 775), *range(1780, 1800), *range(3825, 3850)):
        assert unpacked(lzw(data[:count]), count) == data[:count]


def test_nothing_is_a_clear_code_and_an_end_code() -> None:
    assert lzw(b"") == bytes([0b10000000, 0b01000000, 0b01000000])
