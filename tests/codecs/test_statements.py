"""The colour information of HEIF, AVIF, BMP and ITULAB: L* by the standards' formulas, in float64."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pillow_heif
import pytest
import tifffile
from PIL import Image

from pipeline.codecs.isobmff import primary_nclx
from pipeline.color.spaces import L_U16_SCALE
from pipeline.errors import FailureCode, ImageFailure
from tests.support import icc_profiles
from tests.support.icc_profiles import l_star
from tests.support.samples import decoded

RAMP = np.arange(256, dtype=np.uint8)[None].repeat(16, 0)
EVEN = np.arange(256) / 255
#: ITU-T H.273, table 3, written anew.
TRANSFERS = {
    1: np.where(EVEN < 0.081243, EVEN / 4.5, ((EVEN + 0.099297) / 1.099297) ** (1 / 0.45)),
    4: EVEN**2.2,
    8: EVEN,
    13: np.where(EVEN <= 0.04045, EVEN / 12.92, ((EVEN + 0.055) / 1.055) ** 2.4),
}


def found_l(data: bytes, **options: Any) -> np.ndarray:
    return decoded(data, color_threshold=1000.0, **options).L_u16 / L_U16_SCALE


def heif(rgb: np.ndarray, *, mode: str = "RGB", **nclx: int) -> bytes:
    file = io.BytesIO()
    image = pillow_heif.from_bytes(mode, (rgb.shape[1], rgb.shape[0]), np.ascontiguousarray(rgb).tobytes())
    image.save(file, quality=-1, chroma=444, matrix_coefficients=0, **nclx)  # lossless: RGB as it is
    return file.getvalue()


def with_nclx(data: bytes, primaries: int, transfer: int) -> bytes:
    """The file with other code points."""
    at = data.index(b"colrnclx") + 8
    return data[:at] + struct.pack(">2H", primaries, transfer) + data[at + 4 :]


@pytest.mark.parametrize("transfer", TRANSFERS)
def test_the_transfer_of_a_heif(transfer: int) -> None:
    data = heif(np.dstack([RAMP] * 3), color_primaries=1, transfer_characteristics=transfer)
    assert primary_nclx(data) == (1, transfer)
    assert np.abs(found_l(data)[0] - l_star(TRANSFERS[transfer])).max() < 0.3
    deep = heif(
        np.dstack([RAMP.astype(np.uint16) * 257] * 3), mode="RGB;16", transfer_characteristics=transfer
    )
    steps = np.rint(EVEN * 1023) / 1023  # HEIF keeps 10 of the bits
    formula = np.interp(steps, EVEN, TRANSFERS[transfer])
    assert np.abs(found_l(deep)[0] - l_star(formula))[8:].max() < 0.3


def test_the_primaries_of_a_heif_and_its_profile_before_them() -> None:
    green = np.full((16, 16, 3), (20, 200, 40), np.uint8)
    data = heif(green, color_primaries=9, transfer_characteristics=8)
    # BT.2020, table 4: luminance of its primaries
    wanted = l_star(np.array(0.2627 * 20 + 0.6780 * 200 + 0.0593 * 40) / 255)
    assert np.abs(found_l(data) - wanted).max() < 0.3
    file = io.BytesIO()
    linear = icc_profiles.matrix_profile([icc_profiles.gamma_curve(1.0)] * 3)
    pillow_heif.from_pillow(Image.fromarray(np.dstack([RAMP] * 3))).save(
        file, quality=-1, chroma=444, matrix_coefficients=0, icc_profile=linear
    )
    assert np.abs(found_l(file.getvalue())[0] - l_star(EVEN)).max() < 0.3


def test_what_a_heif_or_avif_leaves_open_is_srgb_and_high_range_is_refused() -> None:
    file = io.BytesIO()
    Image.fromarray(np.dstack([RAMP] * 3)).save(file, "AVIF", quality=100, subsampling="4:4:4")
    for data in (heif(np.dstack([RAMP] * 3)), file.getvalue()):
        for code in ((2, 2), (1, 13)):
            assert np.abs(found_l(with_nclx(data, *code))[0] - l_star(TRANSFERS[13])).max() < 0.7, code
        assert np.abs(found_l(with_nclx(data, 1, 8))[0] - l_star(EVEN))[4:].max() < 2
        for transfer in (16, 18):
            with pytest.raises(ImageFailure, match="high dynamic range") as caught:
                decoded(with_nclx(data, 9, transfer))
            assert caught.value.code == FailureCode.UNSUPPORTED


@pytest.mark.slow
@pytest.mark.parametrize("cut", range(0, 400, 7))
def test_a_container_that_makes_no_sense_says_nothing(cut: int) -> None:
    data = bytearray(heif(np.dstack([RAMP] * 3)))
    data[cut : cut + 4] = b"\xff\xff\xff\xff"
    primary_nclx(bytes(data))
    primary_nclx(bytes(data[:cut]))


def bmp(
    rgb: np.ndarray,
    size: int,
    space: bytes,
    gammas: tuple[float, ...] = (0, 0, 0),
    ends: Any = None,
    icc: bytes = b"",
) -> bytes:
    """A BMP with a header of 108 or 124 bytes."""
    height, width = rgb.shape[:2]
    rows = np.zeros((height, -(-width * 3 // 4) * 4), np.uint8)
    rows[:, : width * 3] = rgb[::-1, :, ::-1].reshape(height, -1)
    xyz = np.zeros(9) if ends is None else np.ravel(ends)
    header = struct.pack("<LllHHLLllLL", size, width, height, 1, 24, 0, rows.size, 2835, 2835, 0, 0)
    header += bytes(16) + space + struct.pack("<9l", *(int(x * 2**30) for x in xyz))
    header += struct.pack("<3L", *(int(gamma * 65536) for gamma in gammas))
    if size == 124:
        header += struct.pack("<4L", 4, size + rows.size, len(icc), 0)
    assert len(header) == size
    head = struct.pack("<2sLHHL", b"BM", 14 + size + rows.size + len(icc), 0, 0, 14 + size)
    return head + header + rows.tobytes() + icc


@pytest.mark.parametrize("size", [108, 124])
@pytest.mark.parametrize("gamma", [1.0, 1.8, 2.2, 1 / 2.2])
def test_the_gamma_of_a_bmp(size: int, gamma: float) -> None:
    data = bmp(np.dstack([RAMP] * 3), size, bytes(4), (gamma,) * 3)
    exponent = gamma if gamma >= 1 else 1 / gamma
    assert np.abs(found_l(data)[0] - l_star(EVEN**exponent)).max() < 0.3
    note = decoded(data).note
    assert note is not None
    assert "BMP header's gamma" in note


def test_the_primaries_and_spaces_of_a_bmp() -> None:
    green = np.full((16, 16, 3), (20, 200, 40), np.uint8)
    ends = [(0.708, 0.292, 0), (0.170, 0.797, 0.033), (0.131, 0.046, 0.823)]
    wanted = l_star(np.array(0.2627 * 20 + 0.6780 * 200 + 0.0593 * 40) / 255)
    assert np.abs(found_l(bmp(green, 108, bytes(4), (1.0,) * 3, ends)) - wanted).max() < 0.3
    for space, gammas in ((b"BGRs", (1.0,) * 3), (b" niW", (1.0,) * 3), (bytes(4), (0, 0, 0))):
        for size in (108, 124):
            data = bmp(np.dstack([RAMP] * 3), size, space, gammas)
            assert np.abs(found_l(data)[0] - l_star(TRANSFERS[13])).max() < 0.3
            assert decoded(data).note is None


def test_the_profile_in_a_bmp_and_the_one_that_is_elsewhere() -> None:
    linear = icc_profiles.matrix_profile([icc_profiles.gamma_curve(1.0)] * 3)
    data = bmp(np.dstack([RAMP] * 3), 124, b"DEBM", icc=linear)
    assert np.abs(found_l(data)[0] - l_star(EVEN)).max() < 0.3
    assert decoded(data).icc == linear
    linked = decoded(bmp(np.dstack([RAMP] * 3), 124, b"KNIL", icc=b"C:\\scanner.icc\0"))
    assert linked.note == "its colour profile is in another file: sRGB was assumed"
    broken = decoded(bmp(np.dstack([RAMP] * 3), 124, b"DEBM", icc=linear[:90]))
    assert "colour profile was ignored" in str(broken.note)


def itulab(lab8: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, lab8, photometric=10, **options)
    return file.getvalue()


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
def test_itulab_by_its_default_and_by_its_decode_tag(compression: str | None) -> None:
    lab8 = np.dstack([RAMP, np.full_like(RAMP, 128), np.full_like(RAMP, 96)])
    data = itulab(lab8, compression=compression)
    assert np.abs(found_l(data)[0] - EVEN * 100).max() < 0.3
    assert decoded(data).color_spread < 0.1, "a of 128 and b of 96 are neutral"
    half = (433, 10, 6, (20, 1, 80, 1, -85, 1, 85, 1, -75, 1, 125, 1), True)
    stated = itulab(lab8, compression=compression, extratags=[half])
    assert np.abs(found_l(stated)[0] - (20 + EVEN * 60)).max() < 0.3
