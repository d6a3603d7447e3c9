"""Masters of a shard that go through temporary files: rows, bytes and failures, staged as well as fused."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import numpy as np
import pytest
import tifffile

from pipeline.config.job import JobConfig
from pipeline.config.loading import load
from pipeline.errors import RunError
from pipeline.ledger.schema import LedgerRow
from pipeline.plan.plan import make_plan
from pipeline.run.attempts import AttemptRegistry
from pipeline.shard.attempts import Attempt
from pipeline.shard.fused import FusedWorker
from pipeline.shard.job import Job
from tests.support.job_runner import encoded, fill, ledger, photograph
from tests.support.stages_apart import colour_apart

STREAM_ALL = ["model.side=64", "output.format=tiff", "limits.stream_bytes=1000"]


def deep(path: Path, **options: object) -> Path:
    y, x = np.mgrid[:90, :120]
    tifffile.imwrite(path, (30_000 + 20_000 * np.sin(x / 9) * np.cos(y / 7)).astype(np.uint16), **options)
    return path


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    source = tmp_path / "in"
    fill(
        str(source), {"everyday.jpg": encoded(photograph(1)), "everyday.tif": encoded(photograph(2), "TIFF")}
    )
    deep(source / "deep.tif", compression="zlib")
    (source / "cut.tif").write_bytes((source / "deep.tif").read_bytes()[:6000])
    worker = FusedWorker(
        Job(load(JobConfig, None, STREAM_ALL), str(source), str(tmp_path / "out"), "run", "d", "w"),
        AttemptRegistry(),
    )
    yield worker
    worker.shard_worker.close()
    assert list(scratch.iterdir()) == []


def only_shard(worker: FusedWorker):
    out, source = worker.shard_worker.out, worker.shard_worker.reader.source
    (shard,) = make_plan(source, out, worker.job.config, "d", workers=1).shards
    return shard.shard_id, shard.items


@pytest.mark.slow
def test_masters_are_coloured_at_their_depth_beside_other_images(worker, tmp_path):
    worker.run(*only_shard(worker))
    rows = {row["key"]: row for row in ledger(str(tmp_path / "out"))}
    assert {key: row["status"] for key, row in rows.items()} == {
        "cut.tif": "failed",
        "deep.tif": "colorized",
        "everyday.jpg": "colorized",
        "everyday.tif": "colorized",
    }
    assert rows["cut.tif"]["failure_code"] in ("truncated", "corrupt")
    row, out = rows["deep.tif"], tmp_path / "out"
    assert (row["width"], row["height"], row["mode"]) == (120, 90, "I;16")
    assert row["max_delta_l"] < 0.1
    written = (out / row["output_key"]).read_bytes()
    assert row["output_sha256"] == hashlib.sha256(written).hexdigest()
    source = (tmp_path / "in" / "deep.tif").read_bytes()
    assert row["source_sha256"] == hashlib.sha256(source).hexdigest()
    pixels = tifffile.imread(out / row["output_key"])
    assert (pixels.shape, pixels.dtype) == ((90, 120, 3), np.uint16)
    assert row["source_sha256"].encode() in written


@pytest.mark.slow
def test_the_stages_apart_give_the_same_bytes(worker, tmp_path):
    shard_id, items = only_shard(worker)
    worker.run(shard_id, items)
    images = {path: path.read_bytes() for path in (tmp_path / "out" / "images").iterdir()}
    worker.shard_worker.commit(shard_id + "-again", colour_apart(worker, items), Attempt(0.0, 1))
    assert {path: path.read_bytes() for path in images} == images


def test_a_master_that_goes_or_a_full_disk(worker, tmp_path, monkeypatch):
    _, items = only_shard(worker)
    (item,) = [item for item in items if item.key == "deep.tif"]
    (tmp_path / "in" / "deep.tif").unlink()
    image, reader = worker.job.source_image(item), worker.shard_worker.reader
    gone = reader.decode(image, reader.fetch(image))
    assert isinstance(gone, LedgerRow)
    assert gone.failure_code == "source_missing"
    deep(tmp_path / "in" / "deep.tif")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(RunError, match="set TMPDIR"):
        reader.decode(image, reader.fetch(image))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))


def test_the_lowest_limit_for_strips_takes_every_tiff(tmp_path):
    """The time that a pass may take grows with the size by this limit, and no system waits for years."""
    fill(str(tmp_path / "in"), {"a.tif": encoded(photograph(1, 400, 300), "TIFF")})
    settings = [*STREAM_ALL, "limits.stream_bytes=1"]
    worker = FusedWorker(
        Job(load(JobConfig, None, settings), str(tmp_path / "in"), str(tmp_path / "out"), "run", "d", "w"),
        AttemptRegistry(),
    )
    try:
        worker.run(*only_shard(worker))
    finally:
        worker.shard_worker.close()
    assert [row["status"] for row in ledger(str(tmp_path / "out"))] == ["colorized"]
