"""Documents: every page of a TIFF is coloured, in its own size and depth, and one bad page fails the file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from PIL import ExifTags, Image

from pipeline.codecs.metadata.block import ResultMetadata
from pipeline.codecs.metadata.profiles import srgb_profile
from pipeline.codecs.tiff.writer import TiffPage, TiffWriter
from pipeline.color.luminance import luminance_u16_from_srgb8, luminance_u16_from_srgb16
from pipeline.config.job import JobConfig
from pipeline.config.loading import load
from pipeline.plan.plan import make_plan
from pipeline.run.attempts import AttemptRegistry
from pipeline.shard.fused import FusedWorker
from pipeline.shard.job import Job
from tests.support.job_runner import fill, ledger
from tests.support.samples import colourful, photo


def document(*pages: np.ndarray[Any, Any]) -> bytes:
    """A TIFF of uint8 or uint16[H,W] pages."""
    file = io.BytesIO()
    writer = TiffWriter(file, bytes_at_most=2**20)
    for number, gray in enumerate(pages):
        rgb = gray if gray.ndim == 3 else np.dstack([gray] * 3)
        height, width, channels = rgb.shape
        exif = Image.Exif()
        exif[ExifTags.Base.ImageDescription] = f"leaf {number + 1}"
        metadata = ResultMetadata(
            srgb_profile(), b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>", exif=exif.tobytes()
        )
        depth = 8 * rgb.dtype.itemsize
        writer.write(TiffPage(width, height, channels, depth, metadata, (number, len(pages))), [rgb])
    writer.close()
    return file.getvalue()


def coloured(data: bytes, tmp_path: Path, *settings: str) -> tuple[dict[str, Any], Path]:
    """The ledger row and the output folder."""
    fill(str(tmp_path / "in"), {"album.tif": data})
    config = load(JobConfig, None, ["model.side=64", "output.format=tiff", *settings])
    job = Job(config, str(tmp_path / "in"), str(tmp_path / "out"), "run", "d", "w")
    worker = FusedWorker(job, AttemptRegistry())
    try:
        (shard,) = make_plan(
            worker.shard_worker.reader.source, worker.shard_worker.out, config, "d", workers=1
        ).shards
        worker.run(shard.shard_id, shard.items)
    finally:
        worker.shard_worker.close()
    (row,) = ledger(str(tmp_path / "out"))
    return row, tmp_path / "out" / "images"


PAGES = (photo(60, 90), photo(80, 50).astype(np.uint16) * 257, photo(40, 40, seed=5))


def test_all_pages_keep_size_depth_lightness_and_words(tmp_path: Path) -> None:
    row, images = coloured(document(*PAGES), tmp_path)
    assert (row["status"], row["pages"], row["width"], row["height"]) == ("colorized", 3, 90, 60)
    assert row["max_delta_l"] < 1
    assert (round(row["color_spread"], 6), row["color_threshold"]) == (0, 3)
    data = (images / "album.tif").read_bytes()
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.n_frames == 3  # type: ignore[attr-defined]
        for number in range(3):
            opened.seek(number)
            assert opened.tag_v2[270] == f"leaf {number + 1}"  # type: ignore[attr-defined]
            assert opened.tag_v2[297] == (number, 3)  # type: ignore[attr-defined]
            assert b"DigitalSourceType" in opened.tag_v2[700]  # type: ignore[attr-defined]
    for number, gray in enumerate(PAGES):
        shown = np.asarray(pyvips.Image.new_from_buffer(data, "", page=number))
        assert shown.dtype == gray.dtype
        deep = gray.dtype == np.uint16
        lightness = luminance_u16_from_srgb16 if deep else luminance_u16_from_srgb8
        moved = np.abs(lightness(shown).astype(int) - lightness(np.dstack([gray] * 3)).astype(int))
        assert moved.max() / 655.35 < (0.1 if deep else 1)
        assert int(np.ptp(shown.astype(int), axis=2).max()) > 0


@pytest.mark.parametrize("settings", ["output.format=jpeg", "output.format=png"])
def test_other_formats_say_what_to_do(settings: str, tmp_path: Path) -> None:
    row, images = coloured(document(*PAGES), tmp_path, settings)
    assert (row["status"], row["failure_code"]) == ("failed", "encode_failed")
    assert "3 pages" in row["message"]
    assert "output.format=tiff" in row["message"]
    assert not images.exists()


def test_a_page_in_colour_or_beyond_repair_decides_for_the_file(tmp_path: Path) -> None:
    row, images = coloured(document(PAGES[0], colourful()), tmp_path)
    assert row["status"] == "skipped_color"
    assert row["message"].startswith("page 2 of 2 has real colour already")
    assert row["color_spread"] > row["color_threshold"] == 3
    whole = document(*(photo(300, 300, seed=seed) for seed in range(3)))
    with Image.open(io.BytesIO(whole)) as opened:
        opened.seek(1)
        place = opened.tag_v2[273][0]  # type: ignore[attr-defined]
    broken = bytearray(whole)
    broken[place : place + 2000] = bytes(2000)
    row, images = coloured(bytes(broken), tmp_path / "again")
    assert row["status"] == "failed"
    assert row["message"].startswith("page 2 of 3: ")
    assert not images.exists()
