"""Kinds of files that archives may hold but nobody has sent yet: L* by formula, in memory and in strips."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from imagecodecs import jpeg2k_encode

from pipeline.codecs.jp2 import box, boxes
from pipeline.codecs.masters import Master
from pipeline.color.spaces import L_U16_SCALE
from pipeline.errors import FailureCode, ImageFailure
from tests.support.icc_profiles import l_star
from tests.support.samples import decoded, photo

GRAY = photo(48, 80)
OTHER = photo(48, 80, seed=9)
OPAQUE = np.full_like(GRAY, 200)


def l_of(srgb: Any) -> np.ndarray:
    v = np.asarray(srgb, np.float64)
    return l_star(np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4))


def tiff(array: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, array, metadata=None, **options)
    return file.getvalue()


def assert_lightness(data: bytes, wanted: np.ndarray, tmp_path: Path, within: float = 0.3) -> str | None:
    """In memory; and in strips, unless those leave it to memory. Returns the note."""
    here = decoded(data)
    assert np.abs(here.L_u16 / L_U16_SCALE - wanted).max() < within
    path = tmp_path / "a.tif"
    path.write_bytes(data)
    try:
        master = Master(path, pixels=10**7)
        strips = list(master.strips())
    except ImageFailure as failure:
        if failure.code != FailureCode.UNSUPPORTED:
            raise
        return here.note
    l_u16 = np.concatenate([rows for rows, _ in strips])
    assert np.abs(l_u16 / L_U16_SCALE - wanted).max() < within
    assert master.info.has_alpha == (here.alpha is not None)
    assert ("; ".join(master.info.notes) or None) == here.note
    return here.note


def packed(bits: int, values: np.ndarray, photometric: int, order: str, colours: Sequence[int] = ()) -> bytes:
    """A TIFF of samples of 1, 2 or 4 bits, which tifffile does not write."""
    height, width = values.shape
    shifts = 8 - bits * (1 + np.arange(width) % (8 // bits))
    columns = (values.astype(int) << shifts).reshape(height, -1, 8 // bits).sum(axis=2)
    data, entries, beside = columns.astype(np.uint8).tobytes(), [], b""
    tags: list[tuple[int, int, Any]] = [(256, 3, width), (257, 3, height), (258, 3, bits), (259, 3, 1)]
    tags += [(262, 3, photometric), (273, 4, None), (277, 3, 1), (278, 3, height), (279, 4, len(data))]
    tags += [(320, 3, colours)] if len(colours) else []
    start = 8 + 2 + 12 * len(tags) + 4
    for tag, kind, value in tags:
        if tag == 320:
            entries.append(struct.pack(order + "HHLL", tag, kind, len(colours), start))
            beside = struct.pack(f"{order}{len(colours)}H", *colours)
        elif kind == 3:
            entries.append(struct.pack(order + "HHLHH", tag, kind, 1, value, 0))
        else:
            at = start + 2 * len(colours) if value is None else value
            entries.append(struct.pack(order + "HHLL", tag, kind, 1, at))
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "LH", 8, len(tags))
    return head + b"".join(entries) + bytes(4) + beside + data


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits(bits: int, order: str, tmp_path: Path) -> None:
    most = 2**bits - 1
    values = GRAY.astype(int) * (most + 1) // 256
    levels = np.linspace(20, 230, most + 1).astype(int)
    assert_lightness(packed(bits, values, 1, order), l_of(values / most), tmp_path)
    assert_lightness(packed(bits, values, 0, order), l_of(1 - values / most), tmp_path)
    for unit in (1, 257):  # a ColorMap of 8 and of 16 bits
        colours = np.tile(levels * unit, 3).tolist()
        assert_lightness(packed(bits, values, 3, order, colours), l_of(levels[values] / 255), tmp_path)


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("extra", [(0, 2), (2, 0), (1, 0), (0, 0), (0, 0, 2), (2, 0, 0), (0, 1, 0)])
@pytest.mark.parametrize("colours", [1, 3])
def test_two_and_three_extra_samples(
    colours: int, extra: tuple[int, ...], dtype: type, planar: str, tmp_path: Path
) -> None:
    unit = 1 if dtype == np.uint8 else 257
    base = np.rint(GRAY * (200 / 255 if 1 in extra else 1.0) * unit).astype(dtype)
    planes = [base] * colours + [(OPAQUE if kind else OTHER).astype(dtype) * unit for kind in extra]
    array = np.dstack(planes) if planar == "contig" else np.stack(planes)
    kind = "rgb" if colours == 3 else "minisblack"
    data = tiff(array, photometric=kind, extrasamples=list(extra), planarconfig=planar)
    if colours == 1 and 1 in extra and planar == "separate":
        with pytest.raises(ImageFailure, match="premultiplied"):
            decoded(data)
        return
    note = assert_lightness(data, l_of(GRAY / 255), tmp_path, within=0.8 if dtype == np.uint8 else 0.3)
    assert note is not None
    assert "that ExtraSamples does not call alpha left out" in note


@pytest.mark.parametrize("compression", ["lzma", "zstd", "webp"])
def test_compressions_that_one_library_lacks(compression: str, tmp_path: Path) -> None:
    options = {"compressionargs": {"lossless": True}} if compression == "webp" else {}
    data = tiff(np.dstack([GRAY] * 3), photometric="rgb", compression=compression, **options)
    assert_lightness(data, l_of(GRAY / 255), tmp_path)


def test_a_compression_that_no_library_has_is_refused_once(tmp_path: Path) -> None:
    data = tiff(GRAY, photometric="minisblack", compression="jpeg2000")
    path = tmp_path / "a.tif"
    path.write_bytes(data)
    for read in (lambda: decoded(data), lambda: Master(path, pixels=10**7)):
        with pytest.raises(ImageFailure, match="compression scheme 34712 is not supported") as caught:
            read()
        assert caught.value.code == FailureCode.UNSUPPORTED


def test_signed_samples_are_no_unsigned_ones(tmp_path: Path) -> None:
    for dtype, shift in ((np.int8, 128), (np.int16, 32768)):
        values = GRAY.astype(int) * (1 if dtype == np.int8 else 257) - shift
        share = (values - values.min()) / (values.max() - values.min())
        note = assert_lightness(tiff(values.astype(dtype), photometric="minisblack"), l_of(share), tmp_path)
        assert "were taken as black to white" in str(note)


def jp2(array: np.ndarray, change: Callable[[list[tuple[bytes, bytes]]], list[tuple[bytes, bytes]]]) -> bytes:
    """A JP2 with other boxes in its header."""
    output = b""
    for kind, content in boxes(jpeg2k_encode(array, level=0, reversible=True)):
        if kind == b"jp2h":
            content = b"".join(box(*one) for one in change(list(boxes(content))))
        output += box(kind, content)
    return output


def defined(
    *entries: tuple[int, int, int],
) -> Callable[[list[tuple[bytes, bytes]]], list[tuple[bytes, bytes]]]:
    """Channel definitions: channel, type, association."""
    cdef = struct.pack(">H", len(entries)) + b"".join(struct.pack(">3H", *entry) for entry in entries)
    return lambda header: [*(one for one in header if one[0] != b"cdef"), (b"cdef", cdef)]


def l_of_jp2(data: bytes) -> np.ndarray:
    return decoded(data, color_threshold=1000.0).L_u16 / L_U16_SCALE


@pytest.mark.parametrize("depth", [8, 16])
def test_a_palette_in_a_jp2_may_have_equal_entries(depth: int) -> None:
    levels = np.linspace(20, 230, 256).astype(int)
    assert len(set(levels)) < 256
    entries = np.stack([levels * (1 if depth == 8 else 257)] * 3, axis=1).astype(f">u{depth // 8}")
    pclr = struct.pack(">HB3B", 256, 3, *[depth - 1] * 3) + entries.tobytes()
    cmap = b"".join(struct.pack(">HBB", 0, 1, channel) for channel in range(3))
    srgb = (b"colr", b"\1\0\0" + struct.pack(">L", 16))

    def change(header: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        return [*(one for one in header if one[0] != b"colr"), srgb, (b"pclr", pclr), (b"cmap", cmap)]

    data = jp2(GRAY, change)
    assert np.abs(l_of_jp2(data) - l_of(levels[GRAY] / 255)).max() < 0.3


def test_channels_of_a_jp2_are_what_their_definition_says() -> None:
    third = photo(48, 80, seed=5)
    light = [np.where(p / 255 <= 0.04045, p / 255 / 12.92, ((p / 255 + 0.055) / 1.055) ** 2.4) for p in
             (third, OTHER, GRAY)]  # fmt: skip
    wanted = l_star(0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2])
    swapped = jp2(np.dstack([GRAY, OTHER, third]), defined((0, 0, 3), (1, 0, 2), (2, 0, 1)))
    assert np.abs(l_of_jp2(swapped) - wanted).max() < 0.3
    plain = jp2(np.dstack([third, OTHER, GRAY]), defined((0, 0, 1), (1, 0, 2), (2, 0, 3)))
    assert np.abs(l_of_jp2(plain) - wanted).max() < 0.3
    covered = jp2(np.dstack([GRAY, OPAQUE]), defined((0, 0, 1), (1, 1, 0)))
    assert np.abs(l_of_jp2(covered) - l_of(GRAY / 255)).max() < 0.3
    assert decoded(covered).alpha is not None
