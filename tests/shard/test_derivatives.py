"""Second files of a shard: with results in memory, in strips and of several pages; signed; the same bytes."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import c2pa
import numpy as np
import pytest
import tifffile
from PIL import Image

from pipeline.config.job import JobConfig, job_digest
from pipeline.config.loading import effective_yaml, load
from pipeline.ledger.keys import config_key
from pipeline.plan.plan import make_plan
from pipeline.run.attempts import AttemptRegistry
from pipeline.shard.attempts import Attempt
from pipeline.shard.fused import FusedWorker
from pipeline.shard.job import Job
from tests.support.certificates import make_signer
from tests.support.job_runner import encoded, fill, ledger, photograph
from tests.support.stages_apart import colour_apart

TIFF = ["model.side=64", "output.format=tiff"]
ACCESS = "output.derivative={format: jpeg, side: 100}"
PYRAMID = "output.derivative={format: tiff_pyramid}"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    pages = [photograph(seed, 200, 150) for seed in (3, 4)]
    files = {
        "a.tif": encoded(photograph(1, 320, 240), "TIFF", dpi=(300, 300)),
        "b/two.tif": encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:]),
    }
    fill(str(tmp_path / "in"), files)
    deep = np.asarray(photograph(2, 300, 400)).astype(np.uint16) * 257
    tifffile.imwrite(tmp_path / "in" / "deep.tif", deep)
    return tmp_path / "in"


def worker_of(source: Path, out: Path, *settings: str) -> FusedWorker:
    job = Job(load(JobConfig, None, [*TIFF, *settings]), str(source), str(out), "run", "d", "w")
    return FusedWorker(job, AttemptRegistry())


def colour(worker: FusedWorker, *, apart: bool = False) -> dict[str, dict[str, object]]:
    """Colour everything, as the fused worker does or with the stages apart; the rows by key."""
    shard_worker = worker.shard_worker
    try:
        source, out = shard_worker.reader.source, shard_worker.out
        (shard,) = make_plan(source, out, worker.job.config, "d", workers=1).shards
        if not apart:
            worker.run(shard.shard_id, shard.items)
        else:
            shard_worker.commit(shard.shard_id, colour_apart(worker, shard.items), Attempt(0.0, 1))
    finally:
        shard_worker.close()
    return {row["key"]: row for row in ledger(worker.job.output)}


@pytest.mark.slow
@pytest.mark.parametrize("strips", ["limits.stream_bytes=1GiB", "limits.stream_bytes=1000"])
@pytest.mark.parametrize("second", [ACCESS, PYRAMID])
def test_every_result_has_its_second_file(second: str, strips: str, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    rows = colour(worker_of(source, out, second, strips))
    added = ".jpg" if second == ACCESS else ""
    for key, row in rows.items():
        assert row["status"] == "colorized", row
        assert row["derivative_key"] == f"derivatives/{key}{added}"
        data = (out / str(row["derivative_key"])).read_bytes()
        assert hashlib.sha256(data).hexdigest() == row["derivative_sha256"]
        assert str(row["source_sha256"]).encode() in data
        with Image.open(io.BytesIO(data)) as small, Image.open(out / str(row["output_key"])) as first:
            assert small.mode == "RGB"
            assert max(small.size) == (100 if second == ACCESS else max(first.size))
            if key != "deep.tif":  # Pillow has no 16-bit RGB
                again = np.asarray(first.resize(small.size, Image.Resampling.LANCZOS)).astype(float)
                assert np.abs(np.asarray(small) - again).mean() < 3
    staged = colour(worker_of(source, tmp_path / "apart", second, strips), apart=True)
    named = ("derivative_key", "derivative_sha256", "output_sha256", "metadata_changes")
    assert [[row[name] for name in named] for row in staged.values()] == [
        [row[name] for name in named] for row in rows.values()
    ]


def test_the_ledger_says_what_only_the_second_file_leaves_out(tmp_path: Path) -> None:
    gray = encoded(photograph(1), "JPEG", comment=b"from the negative")
    fill(str(tmp_path / "in"), {"a.jpg": gray})
    settings = ["output.format=jpeg", PYRAMID]
    (row,) = colour(worker_of(tmp_path / "in", tmp_path / "out", *settings)).values()
    assert row["derivative_key"] == "derivatives/a.jpg.tif"
    assert row["metadata_changes"] == ["icc: none, sRGB assumed", "derivative: comment: left out"]


def test_the_network_is_loaded_where_there_is_something_to_colour(source: Path, tmp_path: Path) -> None:
    """Second files of finished images need none, nor do objects that are no photographs; a finished image
    that is gone does."""
    out, weights = str(tmp_path / "out"), "w" * 64
    (source / "notes.txt").write_text("no photograph")

    def work(*settings: str, has_finished: bool) -> tuple[tuple[str, ...], dict[str, str]]:
        """The networks in the worker's memory, and what a network has coloured: key and status."""
        config = load(JobConfig, None, [*TIFF, *settings])
        digest = job_digest(config, weights)
        job = Job(config, str(source), out, "run", digest, weights, has_finished=has_finished)
        worker = FusedWorker(job, AttemptRegistry())
        try:
            stores = worker.shard_worker.reader.source, worker.shard_worker.out
            for shard in make_plan(*stores, config, digest, workers=1).shards:
                worker.run(shard.shard_id, shard.items)
            stores[1].put(config_key("run"), effective_yaml(config).encode())
        finally:
            worker.close()
        rows = [row for row in ledger(out) if row["job_digest"] == digest]
        assert len(rows) == 4
        seen = {row["key"]: row["status"] for row in rows if row["seconds_predict"] is not None}
        return worker.predictors.loaded, seen

    all_three = dict.fromkeys(("a.tif", "b/two.tif", "deep.tif"), "colorized")
    assert work(has_finished=False) == (("unet",), all_three)
    assert work(ACCESS, has_finished=True) == ((), {})
    (tmp_path / "out" / "images" / "a.tif").unlink()
    assert work(PYRAMID, has_finished=True) == (("unet",), {"a.tif": "colorized"})


@pytest.mark.slow
@pytest.mark.parametrize("strips", ["limits.stream_bytes=1GiB", "limits.stream_bytes=1000"])
@pytest.mark.parametrize("second", [ACCESS, PYRAMID])
def test_second_files_are_signed_too(second: str, strips: str, source: Path, tmp_path: Path) -> None:
    chain, key = make_signer(tmp_path)
    (source / "b" / "two.tif").unlink()
    signed = [f"output.c2pa.certificates={chain}", f"output.c2pa.key={key}"]
    for row in colour(worker_of(source, tmp_path / "out", second, strips, *signed)).values():
        data = (tmp_path / "out" / str(row["derivative_key"])).read_bytes()
        assert hashlib.sha256(data).hexdigest() == row["derivative_sha256"]
        kind = "image/jpeg" if second == ACCESS else "image/tiff"
        with c2pa.Reader(kind, io.BytesIO(data)) as reader:
            assert reader.get_validation_state() == "Valid"
            assert ("c2pa.resized" in reader.json()) == (second == ACCESS)
