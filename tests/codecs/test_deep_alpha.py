"""16-bit alpha keeps its 16 bits if the result has them, and is composed on white with the same precision."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
import tifffile
from imagecodecs import jpeg2k_decode

from pipeline.codecs.encode import encode
from pipeline.codecs.in_memory import Decoded
from pipeline.codecs.isolated.image import IsolatedDecoder
from pipeline.codecs.jp2 import jp2_bytes
from pipeline.codecs.masters import Master
from pipeline.config.output import OutputConfig
from tests.codecs.metadata.test_provenance import PROVENANCE
from tests.support.samples import LIMITS, decoded, photo

GRAY16 = photo(40, 56).astype(np.uint16) * 257
#: Every level between two of 8 bits, and nothing at all.
ALPHA = np.linspace(0, 65535, GRAY16.size).astype(np.uint16).reshape(GRAY16.shape)
RGBA = np.dstack([GRAY16] * 3 + [ALPHA])


def tiff(**options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, RGBA, photometric="rgb", extrasamples=["unassalpha"], metadata=None, **options)
    return file.getvalue()


def png() -> bytes:
    image = pyvips.Image.new_from_array(RGBA).copy(interpretation="rgb16")
    return bytes(image.pngsave_buffer(bitdepth=16))


SOURCES = {"tiff": tiff(), "png": png(), "jp2": jp2_bytes(RGBA)}


@pytest.mark.parametrize("source", SOURCES)
def test_it_is_read_as_it_is(source: str) -> None:
    np.testing.assert_array_equal(decoded(SOURCES[source]).alpha, ALPHA)
    with IsolatedDecoder(memory=2**31, seconds=60) as decoder:
        settings: dict[str, Any] = {"model_side": 64, "skip_color": True, "color_threshold": 3.0}
        apart = decoder.decode(SOURCES[source], "scan", None, LIMITS, **settings)
        assert isinstance(apart, Decoded)
        np.testing.assert_array_equal(apart.alpha, ALPHA)


def test_strips_and_memory_have_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(SOURCES["tiff"])
    parts = [alpha for _, alpha in Master(path, pixels=10**6).strips()]
    np.testing.assert_array_equal(np.concatenate(parts), decoded(SOURCES["tiff"]).alpha)  # type: ignore[arg-type]


@pytest.mark.parametrize("format_", ["tiff", "png", "jp2"])
def test_results_of_16_bits_keep_it(format_: str) -> None:
    source = decoded(SOURCES["tiff"])
    data = encode(RGBA[..., :3], source, None, OutputConfig(format=format_), PROVENANCE)
    read = jpeg2k_decode(data) if format_ == "jp2" else np.asarray(pyvips.Image.new_from_buffer(data, ""))
    np.testing.assert_array_equal(read[..., 3], ALPHA)


@pytest.mark.parametrize("format_", ["tiff", "png", "webp", "jpeg"])
def test_results_of_8_bits_round_it(format_: str) -> None:
    source = decoded(SOURCES["tiff"])
    gray8 = (GRAY16 // 257).astype(np.uint8)
    settings = (
        OutputConfig(format=format_, depth=8) if format_ in ("tiff", "png") else OutputConfig(format=format_)
    )
    data = encode(np.dstack([gray8] * 3), source, None, settings, PROVENANCE)
    read = np.asarray(pyvips.Image.new_from_buffer(data, ""))
    assert read.dtype == np.uint8
    if format_ == "jpeg":
        laid = gray8 * (ALPHA / 65535) + 255 * (1 - ALPHA / 65535)
        assert np.abs(read[..., 1] - laid).mean() < 4
    else:
        assert np.abs(read[..., 3] - ALPHA / 257).max() <= 0.5001
