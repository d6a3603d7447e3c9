"""16 bits and floating point, CMYK, JPEG 2000, HEIC and AVIF: what the file shows, with its depth kept."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pillow_heif
import pytest
import pyvips
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.codecs.deep_pixels import read_deep, rgb16_from_srgb, rgb16_to_srgb
from pipeline.codecs.in_memory import Decoded, encode, finish
from pipeline.codecs.isolated.image import IsolatedDecoder
from pipeline.codecs.metadata.profiles import srgb_profile
from pipeline.codecs.metadata.xmp import Provenance
from pipeline.codecs.pixels import DecodeLimits, read_pixels
from pipeline.codecs.upright import Pixels
from pipeline.color.luminance import luminance_u16_from_gray16, luminance_u16_from_srgb16
from pipeline.config.output import OutputConfig
from pipeline.errors import FailureCode, ImageFailure
from pipeline.shard.compose import compose
from tests.support.samples import encoded, photo

GRAY = photo()
GRAY16 = (GRAY.astype(np.uint16) * 257) ^ np.arange(GRAY.size, dtype=np.uint16).reshape(GRAY.shape) % 251
RGB16 = np.dstack([GRAY16, GRAY16 // 2 + 9000, GRAY16 // 3 + 100])
LIMITS = DecodeLimits(10**7)


def vips(array: np.ndarray[Any, Any], suffix: str, **options: object) -> bytes:
    image = pyvips.Image.new_from_array(np.ascontiguousarray(array))
    kind = "float" if array.dtype.kind == "f" else "rgb16" if array.ndim == 3 else "grey16"
    if kind != "float":
        image = image.copy(interpretation=kind)
    return bytes(image.write_to_buffer(suffix, **options))


def pixels(data: bytes, key: str = "master.tif") -> Pixels:
    result = read_pixels(data, key, None, LIMITS)
    assert isinstance(result, Pixels)
    return result


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "deflate", "predictor": "horizontal"},
        {"compression": "lzw"},
        {"miniswhite": True},
        {"tile": True, "tile_width": 32, "tile_height": 32},
        {"bigtiff": True},
    ],
)
@pytest.mark.parametrize("array", [GRAY16, RGB16])
def test_every_kind_of_16_bit_tiff_gives_its_samples(array: Any, options: dict[str, Any]) -> None:
    if array.ndim == 3 and "miniswhite" in options:
        pytest.skip("only gray can be min-is-white")
    result = pixels(vips(array, ".tif", **options))
    np.testing.assert_array_equal(result.array, array)
    assert result.array.dtype == np.uint16
    assert result.notes == ([] if array.ndim == 2 else ["no colour profile: sRGB was assumed"])


@pytest.mark.parametrize("array", [GRAY16, RGB16, np.dstack([RGB16, np.full_like(GRAY16, 0x7FFF)])])
def test_16_bit_png(array: Any) -> None:
    result = pixels(vips(array, ".png", bitdepth=16))
    np.testing.assert_array_equal(result.array, array[..., :3] if array.ndim == 3 else array)
    assert (result.alpha is None) == (array.ndim == 2 or array.shape[2] == 3)


def test_floating_point_is_light_from_0_to_1_or_what_its_values_span() -> None:
    unit = (GRAY16 / 65535).astype(np.float32)
    assert int(np.abs(pixels(vips(unit, ".tif")).array.astype(int) - GRAY16).max()) <= 1
    spread = pixels(vips(unit * 300 - 20, ".tif"))
    assert (spread.array.min(), spread.array.max()) == (0, 65535)
    assert "were taken as black to white" in spread.notes[0]
    unit[3, 3] = np.nan
    with pytest.raises(ImageFailure, match="not numbers") as caught:
        pixels(vips(unit, ".tif"))
    assert caught.value.code == FailureCode.CORRUPT


@pytest.mark.parametrize("suffix", [".tif", ".png"])
@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_a_cut_master_is_truncated(suffix: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 65536, (400, 300, 3)).astype(np.uint16)
    data = vips(noise, suffix)
    with pytest.raises(ImageFailure) as caught:
        pixels(data[: int(len(data) * share)], f"master{suffix}")
    assert caught.value.code == FailureCode.TRUNCATED


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_16_bits_is_that_of_8(orientation: int) -> None:
    eight, deep = Image.fromarray(GRAY), Image.fromarray(GRAY.astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112] = orientation
    small = pixels(encoded(eight, "TIFF", exif=exif)).array
    large = pixels(encoded(deep, "TIFF", exif=exif)).array
    np.testing.assert_array_equal(small.astype(np.uint16) * 257, large)


def test_cmyk_jpeg_2000_heic_and_avif() -> None:
    rgb = Image.fromarray(GRAY).convert("RGB")
    for format_ in ("JPEG", "TIFF"):
        result = pixels(encoded(rgb.convert("CMYK"), format_))
        assert np.abs(result.array.astype(int) - GRAY[..., None]).mean() < 6
        assert "no usable CMYK profile" in result.notes[0]
    np.testing.assert_array_equal(pixels(encoded(Image.fromarray(GRAY), "JPEG2000")).array, GRAY)
    np.testing.assert_array_equal(pixels(encoded(Image.fromarray(GRAY16), "JPEG2000")).array, GRAY16)
    heic = io.BytesIO()
    pillow_heif.from_pillow(rgb).save(heic, quality=95)
    for data, name in ((heic.getvalue(), "HEIF"), (encoded(rgb, "AVIF", quality=95), "AVIF")):
        result = pixels(data)
        assert np.abs(result.array.astype(int) - GRAY[..., None]).mean() < 4
        assert result.meta.format == name
    with pytest.raises(ImageFailure) as caught:
        pixels(b"\0\0\0\x18ftypheic" + bytes(20))
    assert caught.value.code in (FailureCode.CORRUPT, FailureCode.TRUNCATED)


def test_profiles_at_16_bits() -> None:
    assert int(np.abs(rgb16_to_srgb(RGB16, srgb_profile()).astype(int) - RGB16).max()) <= 100
    wide = bytes(pyvips.Image.profile_load("p3"))
    inside = RGB16 // 2 + 16000
    assert int(np.abs(rgb16_to_srgb(rgb16_from_srgb(inside, wide), wide).astype(int) - inside).max()) <= 40


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_colour_keeps_16_bit_lightness_through_the_file(seed: int) -> None:
    rng = np.random.default_rng(seed)
    gray16 = rng.integers(0, 65536, (9, 11)).astype(np.uint16)
    result = finish(pixels(vips(gray16, ".tif")), model_side=64, skip_color=True, color_threshold=3.0)
    assert isinstance(result, Decoded)
    assert result.depth == 16
    np.testing.assert_array_equal(result.L_u16, luminance_u16_from_gray16(gray16))
    ab = rng.uniform(-80, 80, (2, 8, 8)).astype(np.float32)
    composed = compose(result.L_u16, ab, depth=16)
    made_by = Provenance(
        "compositeWithTrainedAlgorithmicMedia", "unet", "0" * 64, "Fiat Color", "a.tif", "0" * 64
    )
    for format_ in ("tiff", "png"):
        data = encode(composed.rgb, result, None, OutputConfig(format=format_), made_by)  # type: ignore[arg-type]
        again, alpha = read_deep(data, format_)
        np.testing.assert_array_equal(again, composed.rgb)
        assert alpha is None
        with Image.open(io.BytesIO(data)) as opened:
            assert b"compositeWithTrainedAlgorithmicMedia" in opened.info["xmp"]
            assert opened.info["icc_profile"] == srgb_profile()
    moved = luminance_u16_from_srgb16(composed.rgb).astype(int) - result.L_u16
    assert np.abs(moved).max() / 655.35 < 0.1
    assert composed.max_delta_l < 0.1


def test_the_child_process_reads_masters_too() -> None:
    with IsolatedDecoder(memory=2**31, seconds=60) as decoder:
        result = decoder.decode(
            vips(RGB16, ".tif"), "a.tif", None, LIMITS, model_side=64, skip_color=False, color_threshold=3.0
        )
    assert isinstance(result, Decoded)
    np.testing.assert_array_equal(result.L_u16, luminance_u16_from_srgb16(RGB16))
    assert (result.depth, result.mode) == (16, "RGB;16")


@pytest.mark.parametrize("depth", [8, 16])
def test_cmyk_goes_through_its_own_profile(depth: int) -> None:
    """libvips brings a press profile; its own conversion back is the reference."""
    inks = pyvips.Image.new_from_array(np.dstack([GRAY] * 3)).copy(interpretation="srgb")
    inks = inks.icc_transform("cmyk", input_profile="srgb", depth=depth, intent="relative")
    wanted = np.asarray(inks.icc_transform("srgb", input_profile="cmyk", depth=8, intent="relative")).astype(
        int
    )
    result = pixels(bytes(inks.tiffsave_buffer(profile="cmyk")))
    plain = pixels(bytes(inks.tiffsave_buffer(keep="none")))
    assert "no usable CMYK profile" not in "; ".join(result.notes)
    assert "no usable CMYK profile" in "; ".join(plain.notes)
    assert result.array.dtype == (np.uint16 if depth == 16 else np.uint8)
    unit = 257 if depth == 16 else 1
    assert np.abs(result.array / unit - wanted).max() <= 3
    assert np.abs(plain.array / unit - wanted).mean() > 10
