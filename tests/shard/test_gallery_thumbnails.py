"""Workers write the gallery's thumbnails: those that reading every file again would give."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image

from pipeline.codecs.thumbnail import thumbnail_jpeg
from pipeline.config.job import JobConfig
from pipeline.config.loading import load
from pipeline.ledger.keys import THUMBNAILS, thumbnail_key, thumbnail_name
from pipeline.plan.plan import make_plan
from pipeline.report.run_report import thumbnail
from pipeline.review.cards import read_cards
from pipeline.review.thumbnails import make_thumbnails
from pipeline.run.attempts import AttemptRegistry
from pipeline.shard.attempts import Attempt
from pipeline.shard.fused import FusedWorker
from pipeline.shard.job import Job
from pipeline.storage import Store
from tests.shard.test_pages import document
from tests.support import icc_profiles
from tests.support.job_runner import encoded, fill, ledger
from tests.support.samples import colourful, photo, toned
from tests.support.stages_apart import colour_apart

SIDE = 90
CLOSE = 4  # mean difference in levels: another filter, and hard edges between colours that no photograph has
PHOTO = photo(150, 220)
ADOBE = icc_profiles.matrix_profile([icc_profiles.gamma_curve(2.2)] * 3)
SEEN = np.where(np.mgrid[0:150, 0:220][1] < 110, 255, 80).astype(np.uint8)
TURNED = Image.Exif()
TURNED[ExifTags.Base.Orientation] = 6
SOURCES = {
    "gray.jpg": encoded(Image.fromarray(PHOTO), quality=97),
    "toned.png": encoded(Image.fromarray(toned(PHOTO)), "PNG"),
    "deep.tif": encoded(Image.fromarray(PHOTO.astype(np.uint16) * 257), "TIFF"),
    "clear.png": encoded(Image.merge("LA", [Image.fromarray(PHOTO), Image.fromarray(SEEN)]), "PNG"),
    "adobe.jpg": encoded(Image.fromarray(toned(PHOTO)), quality=97, icc_profile=ADOBE),
    "turned.jpg": encoded(Image.fromarray(PHOTO), quality=97, exif=TURNED),
    "small.png": encoded(Image.fromarray(photo(40, 60)), "PNG"),
    "colour.png": encoded(Image.fromarray(colourful(150, 220)), "PNG"),
    "pages.tif": document(PHOTO, photo(100, 60)),
}


def deep_tiff(rgba: np.ndarray[Any, Any]) -> bytes:
    """A TIFF of uint16[H,W,4]."""
    file = io.BytesIO()
    tifffile.imwrite(file, rgba, photometric="rgb", extrasamples=["unassalpha"])
    return file.getvalue()


def run(
    root: Path, *settings: str, is_apart: bool = False, sources: dict[str, bytes] = SOURCES
) -> tuple[Store, Store]:
    """Source and output of a shard that was coloured."""
    fill(str(root / "in"), sources)
    config = load(
        JobConfig, None, ["model.side=64", f"report.thumbnail={SIDE}", "report.gallery=true", *settings]
    )
    job = Job(config, str(root / "in"), str(root / "out"), "run", "d", "w")
    worker = FusedWorker(job, AttemptRegistry())
    source, out = worker.shard_worker.reader.source, worker.shard_worker.out
    for shard in make_plan(source, out, config, "d", workers=1).shards:
        if is_apart:
            rows = colour_apart(worker, shard.items)
            assert worker.shard_worker.commit(shard.shard_id, rows, Attempt(time.time(), 1)).won
        else:
            worker.run(shard.shard_id, shard.items)
    worker.close()
    return source, out


def shown(out: Store, sha256: str) -> np.ndarray[Any, Any]:
    with Image.open(io.BytesIO(out.get(thumbnail_key(SIDE, thumbnail_name(sha256))).data)) as image:
        return np.asarray(image.convert("RGB"), float)


def reread(data: bytes) -> np.ndarray[Any, Any]:
    with Image.open(io.BytesIO(thumbnail_jpeg(thumbnail(data, SIDE)))) as image:
        return np.asarray(image, float)


@pytest.mark.slow
@pytest.mark.parametrize("format_", ["jpeg", "tiff"])
@pytest.mark.parametrize("is_apart", [False, True], ids=["fused", "staged"])
def test_thumbnails_show_what_was_read_and_what_was_written(
    tmp_path: Path, format_: str, is_apart: bool
) -> None:
    given = ("output.label=band", f"output.format={format_}", "output.pages=separate")
    source, out = run(tmp_path, *given, is_apart=is_apart)
    for row in ledger(out.uri):
        before, wanted = shown(out, row["source_sha256"]), reread(source.get(row["key"]).data)
        assert before.shape == wanted.shape
        assert np.abs(before - wanted).mean() < CLOSE, row["key"]
        if row["status"] == "skipped_color":
            assert row["key"] == "colour.png"
            continue
        after, wanted = shown(out, row["output_sha256"]), reread(out.get(row["output_key"]).data)
        assert after.shape == wanted.shape, row["key"]
        assert np.abs(after - wanted).mean() < CLOSE, row["key"]
    assert len(list(out.list(THUMBNAILS))) == 2 * len(SOURCES) - 1


def test_a_document_in_one_file_shows_its_first_page(tmp_path: Path) -> None:
    _, out = run(tmp_path, "output.format=tiff", "output.pages=tiff")
    (row,) = (row for row in ledger(out.uri) if row["key"] == "pages.tif")
    after = shown(out, row["output_sha256"])
    assert np.abs(after - reread(out.get(row["output_key"]).data)).mean() < CLOSE


@pytest.mark.slow
@pytest.mark.parametrize("label", ["band", "watermark"])
def test_a_master_is_shown_though_memory_never_holds_it(tmp_path: Path, label: str) -> None:
    deep = np.dstack([PHOTO.astype(np.uint16) * 257] * 3)
    cover = np.where(SEEN == 255, 65535, 20_000).astype(np.uint16)
    sources = {
        "gray.tif": encoded(Image.fromarray(PHOTO), "TIFF"),
        "adobe.tif": encoded(Image.fromarray(np.dstack([PHOTO] * 3)), "TIFF", icc_profile=ADOBE),
        "pages.tif": document(PHOTO, photo(100, 60)),
        "clear.tif": deep_tiff(np.dstack([deep, cover])),
    }
    given = ("output.format=tiff", "limits.stream_bytes=1000", f"output.label={label}")
    source, out = run(tmp_path, *given, sources=sources)
    for row in ledger(out.uri):
        assert row["status"] == "colorized", row["message"]
        before, after = shown(out, row["source_sha256"]), shown(out, row["output_sha256"])
        wanted = reread(out.get(row["output_key"]).data)
        assert after.shape == wanted.shape, row["key"]
        assert np.abs(after - wanted).mean() < CLOSE, row["key"]
        assert np.abs(before - reread(source.get(row["key"]).data)).mean() < CLOSE, row["key"]


def test_the_end_of_a_run_reads_no_picture_that_workers_have_read(tmp_path: Path) -> None:
    source, out = run(tmp_path)
    for folder in ("in", "out/images"):
        for path in (tmp_path / folder).rglob("*.*"):
            if path.is_file():
                path.write_bytes(b"")
    pictures = make_thumbnails(source, out, read_cards(out), side=SIDE, threads=1, of_run="run")
    assert all(pictures.before)
    assert sum(map(bool, pictures.after)) == len(SOURCES) - 1
    assert (pictures.made, pictures.unreadable, pictures.left) == (0, 0, 0)


def test_without_the_gallery_no_thumbnail_is_written(tmp_path: Path) -> None:
    _, out = run(tmp_path, "report.gallery=false")
    assert not list(out.list("gallery/"))


def test_the_gallery_changes_no_byte_of_the_results(tmp_path: Path) -> None:
    digests = []
    for name, gallery in (("with", "true"), ("without", "false")):
        _, out = run(tmp_path / name, f"report.gallery={gallery}")
        digests.append({row["key"]: row["output_sha256"] for row in ledger(out.uri)})
    assert digests[0] == digests[1]
