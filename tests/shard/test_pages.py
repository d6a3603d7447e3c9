"""Documents: every page of a TIFF is coloured, in its own size and depth, and one bad page fails the file."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import pyvips
from PIL import ExifTags, Image

from pipeline.codecs.metadata.block import ResultMetadata
from pipeline.codecs.metadata.profiles import srgb_profile
from pipeline.codecs.tiff.writer import TiffPage, TiffWriter
from pipeline.color.luminance import luminance_u16_from_srgb8, luminance_u16_from_srgb16
from pipeline.config.job import JobConfig
from pipeline.config.loading import load
from pipeline.config.storage import StorageConfig
from pipeline.export.export_ledger import ExportRequest, run_export
from pipeline.ledger.files import named_files
from pipeline.ledger.schema import LEDGER_SCHEMA, OUTPUT_COLUMNS
from pipeline.plan.plan import make_plan
from pipeline.run.attempts import AttemptRegistry
from pipeline.shard.attempts import Attempt
from pipeline.shard.fused import FusedWorker
from pipeline.shard.job import Job
from pipeline.storage import open_store
from pipeline.verify.expected import read_expected
from pipeline.verify.hashing import OUTPUT_CODES, check_shard
from pipeline.verify.listing_comparison import compare, listed_table
from tests.support.job_runner import fill, ledger
from tests.support.samples import colourful, photo
from tests.support.stages_apart import colour_apart


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


def coloured(data: bytes, tmp_path: Path, *settings: str, apart: bool = False) -> tuple[dict[str, Any], Path]:
    """The ledger row and the output folder; apart: as the staged topology does it."""
    fill(str(tmp_path / "in"), {"album.tif": data})
    coloured_in(str(tmp_path), "output.format=tiff", *settings, apart=apart)
    (row,) = ledger(str(tmp_path / "out"))
    return row, tmp_path / "out" / "images"


def coloured_in(folder: str, *settings: str, apart: bool = False) -> None:
    """Colour `in` of the folder to its `out`, in this process."""
    tmp_path = Path(folder)
    config = load(JobConfig, None, ["model.side=64", *settings])
    job = Job(config, str(tmp_path / "in"), str(tmp_path / "out"), "run", "d", "w")
    worker = FusedWorker(job, AttemptRegistry())
    try:
        (shard,) = make_plan(
            worker.shard_worker.reader.source, worker.shard_worker.out, config, "d", workers=1
        ).shards
        if apart:
            worker.shard_worker.commit(shard.shard_id, colour_apart(worker, shard.items), Attempt(0.0, 1))
        else:
            worker.run(shard.shard_id, shard.items)
    finally:
        worker.shard_worker.close()


def files_of(row: dict[str, Any]) -> dict[str, str]:
    """All files of a row with their checksums."""
    files = named_files(pa.Table.from_pylist([row], schema=LEDGER_SCHEMA), OUTPUT_COLUMNS)
    return dict(zip(files["key"].to_pylist(), files["sha256"].to_pylist(), strict=True))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def assert_lightness(shown: np.ndarray[Any, Any], gray: np.ndarray[Any, Any]) -> None:
    """Depth and lightness are those of the page, and it has colours."""
    assert shown.dtype == gray.dtype
    deep = gray.dtype == np.uint16
    lightness = luminance_u16_from_srgb16 if deep else luminance_u16_from_srgb8
    moved = np.abs(lightness(shown).astype(int) - lightness(np.dstack([gray] * 3)).astype(int))
    assert moved.max() / 655.35 < (0.1 if deep else 1)
    assert int(np.ptp(shown.astype(int), axis=2).max()) > 0


SECOND = "output.derivative={format: jpeg, side: 32}"
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
        assert_lightness(np.asarray(pyvips.Image.new_from_buffer(data, "", page=number)), gray)


@pytest.mark.parametrize("format_", ["jpeg", "png", "webp", "jp2"])
def test_pages_become_a_file_each_where_the_format_holds_one(format_: str, tmp_path: Path) -> None:
    row, images = coloured(document(*PAGES), tmp_path, f"output.format={format_}")
    suffix = {"jpeg": "jpg"}.get(format_, format_)
    names = [f"images/album.tif/page-000{number}.{suffix}" for number in (1, 2, 3)]
    assert (row["status"], row["pages"], row["width"], row["height"]) == ("colorized", 3, 90, 60)
    assert files_of(row) == {name: sha256(tmp_path / "out" / name) for name in names}
    assert names == [str(path.relative_to(images.parent)) for path in sorted(images.rglob("*.*"))[1:]]
    assert row["max_delta_l"] < 1
    assert "page 1: icc: none" not in row["metadata_changes"]
    for name, gray in zip(names, PAGES, strict=True):
        if format_ == "png":
            assert_lightness(np.asarray(pyvips.Image.new_from_file(str(tmp_path / "out" / name))), gray)
        with Image.open(tmp_path / "out" / name) as opened:
            assert opened.size == gray.shape[::-1]


@pytest.mark.slow
@pytest.mark.parametrize("strips", ["limits.stream_bytes=1GiB", "limits.stream_bytes=1000"])
def test_separate_tiffs_have_the_pixels_of_the_pages_of_one(strips: str, tmp_path: Path) -> None:
    one, images = coloured(document(*PAGES), tmp_path / "one", strips)
    row, separate = coloured(document(*PAGES), tmp_path / "each", strips, "output.pages=separate", SECOND)
    assert one["further_keys"] is None
    for column in ("pages", "width", "max_delta_l", "mean_chroma", "color_spread"):
        assert row[column] == one[column], column
    names = [f"album.tif/page-000{number}.tif" for number in (1, 2, 3)]
    seconds = [f"derivatives/{name}.jpg" for name in names]
    assert files_of(row) == {
        name: sha256(separate.parent / name) for name in [*(f"images/{name}" for name in names), *seconds]
    }
    for number, name in enumerate(names):
        page = pyvips.Image.new_from_file(str(separate / name))
        whole = pyvips.Image.new_from_file(str(images / "album.tif"), page=number)
        np.testing.assert_array_equal(np.asarray(page), np.asarray(whole))
        with Image.open(separate.parent / seconds[number]) as small:
            assert max(small.size) == 32
            assert small.size[0] / small.size[1] == pytest.approx(page.width / page.height, rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [[], ["output.pages=separate"]])
def test_strips_give_what_memory_gives(settings: list[str], tmp_path: Path) -> None:
    data = document(*PAGES)
    here, images = coloured(data, tmp_path / "here", *settings)
    strips, streamed = coloured(data, tmp_path / "strips", "limits.stream_bytes=1000", *settings)
    apart = ("seconds_decode", "seconds_predict", "seconds_compose", "finished_at", "etag", "input")
    sums = ("output_sha256", "further_sha256")
    assert {k: v for k, v in here.items() if k not in apart + sums} == {
        k: v for k, v in strips.items() if k not in apart + sums
    }
    for path in sorted(images.rglob("*.tif")):
        if path.is_file():
            other = streamed / path.relative_to(images)
            for page in range(1 if settings else 3):
                levels = [
                    np.asarray(pyvips.Image.new_from_file(str(p), page=page)).astype(int)
                    for p in (path, other)
                ]
                assert np.abs(levels[0] - levels[1]).max() <= (1 if levels[0].max() < 256 else 257)


def test_one_tiff_can_stand_in_for_pages_of_jpegs(tmp_path: Path) -> None:
    tiff, there = coloured(document(*PAGES), tmp_path / "tiff")
    jpeg, here = coloured(document(*PAGES), tmp_path / "jpeg", "output.format=jpeg", "output.pages=tiff")
    assert tiff["output_key"] == jpeg["output_key"] == "images/album.tif"
    assert (here / "album.tif").read_bytes() == (there / "album.tif").read_bytes()
    assert jpeg["output_sha256"] == sha256(here / "album.tif")


def test_pages_travel_between_stages_and_are_guided_and_labelled_like_others(tmp_path: Path) -> None:
    settings = ["output.format=jpeg", "output.label=band", SECOND]
    row, images = coloured(document(*PAGES), tmp_path / "fused", *settings)
    apart, _ = coloured(document(*PAGES), tmp_path / "apart", *settings, apart=True)
    assert files_of(row) == files_of(apart)
    assert len(files_of(row)) == 6
    notes = row["message"].split("; ")
    assert [note.partition(":")[0] for note in notes] == ["page 1", "page 2", "page 3"]
    assert all("a label were added below" in note for note in notes)
    with Image.open(images / "album.tif" / "page-0001.jpg") as opened:
        assert opened.height > 60


@pytest.mark.job
def test_nothing_counts_of_a_document_whose_worker_was_killed(tmp_path: Path) -> None:
    pages = [photo(400, 300, seed=seed) for seed in range(12)]
    data = document(*pages)
    undisturbed, _ = coloured(data, tmp_path / "undisturbed", "output.format=jpeg")
    fill(str(tmp_path / "in"), {"album.tif": data})
    run = "import sys; from tests.shard.test_pages import coloured_in; coloured_in(*sys.argv[1:])"
    worker = subprocess.Popen([sys.executable, "-c", run, str(tmp_path), "output.format=jpeg"])
    folder = tmp_path / "out" / "images" / "album.tif"
    until = time.monotonic() + 240  # 5 s on two idle cores, most of it imports
    while not (folder / "page-0002.jpg").exists():
        assert time.monotonic() < until, "no page was written"
        time.sleep(0.005)
    worker.kill()
    worker.wait()
    assert not (folder / "page-0012.jpg").exists(), "the kill came too late to show anything"
    assert not (tmp_path / "out" / "ledger").exists()
    row, _ = coloured(data, tmp_path, "output.format=jpeg")
    assert files_of(row) == files_of(undisturbed)
    assert files_of(row) == {name: sha256(tmp_path / "out" / name) for name in files_of(row)}
    assert len(files_of(row)) == 12


def test_verification_and_bag_have_every_page(tmp_path: Path, no_storage: StorageConfig) -> None:
    row, images = coloured(document(*PAGES), tmp_path, "output.format=jpeg", SECOND)
    out = open_store(str(tmp_path / "out"), no_storage)
    names = sorted(files_of(row))
    assert read_expected(out).outputs["key"].to_pylist() == names
    exported = [
        run_export(ExportRequest(out.uri, kind, str(tmp_path / kind), load(JobConfig)))
        for kind in ("bagit", "csv", "premis")
    ]
    assert exported == [0, 0, 0]
    payload = tmp_path / "bagit" / "data"
    assert sorted(p.relative_to(payload).as_posix() for p in payload.rglob("*") if p.is_file()) == names
    assert all(name in (tmp_path / "csv").read_text() for name in names)
    premis = (tmp_path / "premis").read_text()
    assert all(f">{name}<" in premis for name in names)
    assert premis.count("<premis:event>") == 1
    changed = images / "album.tif" / "page-0003.jpg"
    changed.write_bytes(changed.read_bytes()[:-1] + b"!")
    (images / "album.tif" / "page-0002.jpg").unlink()
    result = compare(read_expected(out).outputs, listed_table(out.list("images")))
    assert "images/album.tif/page-0002.jpg" in result.missing["key"].to_pylist()
    findings = check_shard(out, result.both, OUTPUT_CODES, 1).findings.to_pylist()
    assert [(one["key"], one["finding"]) for one in findings] == [
        ("images/album.tif/page-0003.jpg", "changed")
    ]


def test_a_page_in_colour_or_beyond_repair_decides_for_the_file(tmp_path: Path) -> None:
    row, images = coloured(document(PAGES[0], colourful()), tmp_path)
    assert row["status"] == "skipped_color"
    assert row["message"].startswith("page 2 of 2 already has real colour")
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
