"""Second files: pixels, layers, and what they say, read back with Pillow, libvips and exiftool."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from PIL import Image

from pipeline.codecs import derivative
from pipeline.codecs.derivative import DerivativeMetadata, DerivativeReport, derive, derive_file
from pipeline.codecs.encode import encode
from pipeline.config.output import DerivativeConfig, OutputConfig
from tests.codecs.metadata.test_provenance import EVENT, PROVENANCE, exiftool
from tests.codecs.test_encode import source
from tests.codecs.test_in_memory import wide_profile
from tests.support.samples import colourful

WIDE = colourful(700, 1100)
KINDS = [
    DerivativeConfig(format="jpeg", side=300),
    DerivativeConfig(format="tiff_pyramid"),
    DerivativeConfig(format="tiff_pyramid", compression="deflate", side=900),
]


def derivative_metadata(**changes: Any) -> DerivativeMetadata:
    return DerivativeMetadata(replace(source().meta, **changes), None, PROVENANCE)


def layers(data: bytes) -> list[pyvips.Image]:
    count = pyvips.Image.new_from_buffer(data, "").get("n-pages")
    return [pyvips.Image.new_from_buffer(data, "", page=page) for page in range(count)]


def reduced(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """By Pillow, for comparison."""
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS)).astype(float)


def test_a_jpeg_for_access_is_the_picture_made_smaller() -> None:
    data, report = derive(WIDE, None, derivative_metadata(), DerivativeConfig(format="jpeg", side=300))
    image = Image.open(io.BytesIO(data))
    assert (image.format, image.size, report.resized) == ("JPEG", (300, 191), True)
    assert np.abs(np.asarray(image) - reduced(WIDE, 300, 191)).mean() < 6
    whole, report = derive(WIDE, None, derivative_metadata(), DerivativeConfig(format="jpeg"))
    assert (Image.open(io.BytesIO(whole)).size, report) == (
        (1100, 700),
        DerivativeReport(report.changes, False),
    )


def test_a_pyramid_has_tiled_layers_of_half_the_size_and_loses_nothing_with_deflate() -> None:
    config = DerivativeConfig(format="tiff_pyramid", compression="deflate")
    data, report = derive(WIDE, None, derivative_metadata(), config)
    assert not report.resized
    result = layers(data)
    assert [(layer.width, layer.height) for layer in result] == [
        (1100, 700),
        (550, 350),
        (275, 175),
        (137, 87),
    ]
    np.testing.assert_array_equal(result[0].numpy(), WIDE)
    assert np.abs(result[1].numpy() - reduced(WIDE, 550, 350)).mean() < 6
    with Image.open(io.BytesIO(data)) as image:
        tags = image.tag_v2  # type: ignore[attr-defined]
        assert (tags[322], tags[323], tags[259], tags[317]) == (256, 256, 8, 2)
    lossy, _ = derive(WIDE, None, derivative_metadata(), DerivativeConfig(format="tiff_pyramid"))
    assert np.abs(layers(lossy)[0].numpy().astype(float) - WIDE).mean() < 6
    with Image.open(io.BytesIO(lossy)) as image:
        assert image.tag_v2[259] == 7  # type: ignore[attr-defined]


@pytest.mark.parametrize("config", KINDS, ids=lambda config: config.format)
def test_16_bits_become_8_and_transparency_white(config: DerivativeConfig) -> None:
    alpha = np.full(WIDE.shape[:2], 255, np.uint8)
    alpha[:, :550] = 0
    deep, report = derive(WIDE.astype(np.uint16) * 257, alpha, derivative_metadata(), config)
    assert "alpha: laid on white" in report.changes
    shown = pyvips.Image.new_from_buffer(deep, "").numpy()
    assert (shown.dtype, shown.shape[2]) == (np.uint8, 3)
    assert shown[:, : shown.shape[1] // 2 - 8].min() > 245
    flat = np.where(alpha[..., None] == 0, 255, WIDE).astype(np.uint8)
    assert derive(flat, None, derivative_metadata(), config)[0] == deep


@pytest.mark.parametrize("config", KINDS, ids=lambda config: config.format)
def test_it_says_what_the_first_file_says(config: DerivativeConfig, tmp_path: Any) -> None:
    iptc = b"\x1c\x02\x50\x00\x09A. Keeper"
    icc = wide_profile()
    given = DerivativeMetadata(replace(source().meta, iptc=iptc, icc=icc), icc, PROVENANCE)
    data, report = derive(WIDE, None, given, config)
    tags = exiftool(data, tmp_path)
    scale = 1 if config.longest is None else config.longest / 1100
    assert tags["IFD0:ImageDescription"] == "the pier"
    assert tags["ExifIFD:DateTimeOriginal"] == "1911:05:01 12:00:00"
    assert tags["GPS:GPSLatitudeRef"] == "North"
    assert tags["IPTC:By-line"] == "A. Keeper"
    assert tags["XMP-xmpMM:History"][-1] == EVENT
    assert tags["XMP-iptcExt:DigitalSourceType"].endswith(PROVENANCE.digital_source_type)
    assert tags["IFD0:XResolution"] == pytest.approx(600 * scale, rel=0.01)
    assert tags["IFD0:ResolutionUnit"] == "inches"
    assert Image.open(io.BytesIO(data)).info["icc_profile"] == icc
    assert report.resized == (scale < 1)


def test_without_a_resolution_it_states_none(tmp_path: Any) -> None:
    given = derivative_metadata(dpi=None, exif=None)
    tags = exiftool(derive(WIDE, None, given, DerivativeConfig(format="tiff_pyramid"))[0], tmp_path)
    assert not [name for name in tags if "Resolution" in name]
    tiny = derive(WIDE, None, derivative_metadata(dpi=(2.0, 2.0)), DerivativeConfig(format="jpeg", side=300))
    assert Image.open(io.BytesIO(tiny[0])).info["jfif_unit"] == 0


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("config", KINDS, ids=lambda config: config.format)
def test_a_finished_file_has_the_derivative_of_its_pixels(
    config: DerivativeConfig, big: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if big:
        monkeypatch.setattr(derivative, "_CLASSIC", 0)
    first = tmp_path / "first.tif"
    first.write_bytes(encode(WIDE, source(), None, OutputConfig(format="tiff"), PROVENANCE))
    target = tmp_path / "second"
    report = derive_file(first, target, derivative_metadata(), config)
    assert (target.read_bytes(), report) == derive(WIDE, None, derivative_metadata(), config)
    if config.format == "tiff_pyramid":
        assert target.read_bytes()[2] == (43 if big else 42)
        assert len(layers(target.read_bytes())) > 2
        exiftool(target.read_bytes(), tmp_path)
