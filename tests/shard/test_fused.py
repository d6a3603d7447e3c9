"""The fused worker without Ray: what happens to a shard after its worker has died more than once."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import c2pa
import numpy as np
import pytest
from PIL import Image

from pipeline.config.job import JobConfig
from pipeline.config.loading import load
from pipeline.models.method_list import weights_info
from pipeline.models.weights_location import shipped_names
from pipeline.plan.plan import make_plan
from pipeline.run.attempts import AttemptRegistry
from pipeline.shard.fused import FusedWorker, gpu_share
from pipeline.shard.job import Job
from tests.support.certificates import make_signer
from tests.support.job_runner import encoded, fill, ledger, photograph


@pytest.fixture
def worker(tmp_path: Path):
    fill(str(tmp_path / "in"), {f"{i}.jpg": encoded(photograph(i)) for i in range(4)})
    config = load(JobConfig, None, ["model.side=64"])
    worker = FusedWorker(
        Job(config, str(tmp_path / "in"), str(tmp_path / "out"), "run", "d", "w"), AttemptRegistry()
    )
    yield worker
    worker.shard_worker.close()


def test_composing_where_the_network_runs_changes_no_byte(tmp_path):
    """16 bits, transparency and two pages too; the device is torch's CPU, whose arithmetic is a GPU's."""
    deep = Image.fromarray(np.asarray(photograph(3), np.uint16) * 257)
    seen = Image.fromarray(np.asarray(photograph(4)) // 128 * 255)
    sources = {"a.jpg": encoded(photograph(1)), "deep.tif": encoded(deep, "TIFF")}
    sources["clear.png"] = encoded(Image.merge("LA", (photograph(2), seen)), "PNG")
    pages = io.BytesIO()
    photograph(5).save(pages, "TIFF", save_all=True, append_images=[photograph(6)])
    fill(str(tmp_path / "in"), sources | {"pages.tif": pages.getvalue()})
    results = {}
    for place in ("cpu", "gpu"):
        config = load(JobConfig, None, ["model.side=64", "output.format=tiff", f"run.compose={place}"])
        folder = str(tmp_path / place)
        worker = FusedWorker(Job(config, str(tmp_path / "in"), folder, "run", "d", "w"), AttemptRegistry())
        worker.run(*only_shard(worker))
        worker.shard_worker.close()
        results[place] = {row["key"]: (row["output_sha256"], row["max_delta_l"]) for row in ledger(folder)}
    assert set(results["cpu"]) == set(sources) | {"pages.tif"}
    assert all(digest for digest, _ in results["cpu"].values())
    assert results["gpu"] == results["cpu"]


@pytest.mark.parametrize(("workers", "gpus"), [(16, 1), (10, 4), (2, 4), (4, 4), (1, 1)])
def test_shares_of_gpus_leave_no_worker_without_a_place(workers, gpus):
    assert int(1 / gpu_share(workers, gpus) + 1e-9) * gpus >= workers
    assert gpu_share(workers, gpus) <= 1
    assert gpu_share(workers, 0) == 0


def only_shard(worker: FusedWorker):
    out, source = worker.shard_worker.out, worker.shard_worker.reader.source
    (shard,) = make_plan(source, out, worker.job.config, "d", workers=1).shards
    return shard.shard_id, shard.items


def test_a_shard_is_coloured_and_committed_once(worker, tmp_path):
    shard_id, items = only_shard(worker)
    assert worker.run(shard_id, items).won
    assert not worker.run(shard_id, items).won
    assert [row["status"] for row in ledger(str(tmp_path / "out"))] == ["colorized"] * 4


def test_the_image_that_took_two_workers_down_is_named_and_the_others_are_coloured(worker, tmp_path):
    shard_id, items = only_shard(worker)
    for _ in range(3):  # two attempts of the whole shard, one image by image, in which "2.jpg" was the last
        worker.attempts.begin(shard_id)
    worker.attempts.touch(shard_id, "2.jpg")
    worker.run(shard_id, items)
    rows = {row["key"]: row for row in ledger(str(tmp_path / "out"))}
    assert rows["2.jpg"]["failure_code"] == "worker_lost"
    assert [rows[f"{i}.jpg"]["status"] for i in (0, 1, 3)] == ["colorized"] * 3


def test_one_by_one_gives_the_same_bytes_as_together(worker, tmp_path):
    shard_id, items = only_shard(worker)
    worker.run(shard_id, items)
    images = {path: path.read_bytes() for path in (tmp_path / "out" / "images").iterdir()}
    for _ in range(2):
        worker.attempts.begin(shard_id)
    worker.run(shard_id, items)
    assert {path: path.read_bytes() for path in images} == images


def test_a_source_that_changes_or_goes_after_planning_is_a_row(worker, tmp_path):
    shard_id, items = only_shard(worker)
    (tmp_path / "in" / "1.jpg").unlink()
    (tmp_path / "in" / "3.jpg").write_bytes(encoded(photograph(9)))
    worker.run(shard_id, items)
    codes = {row["key"]: row["failure_code"] for row in ledger(str(tmp_path / "out"))}
    assert codes == {"0.jpg": None, "1.jpg": "source_missing", "2.jpg": None, "3.jpg": "source_changed"}


@pytest.mark.slow
@pytest.mark.parametrize("name", shipped_names())
def test_all_shipped_weights_colour_in_the_same_job(name: str, tmp_path: Path) -> None:
    fill(str(tmp_path / "in"), {f"{i}.jpg": encoded(photograph(i)) for i in range(2)})
    method = weights_info(None, name).method
    settings = ["model.side=64", f"model.method={method}", f"model.weights={name}"]
    job = Job(load(JobConfig, None, settings), str(tmp_path / "in"), str(tmp_path / "out"), "run", "d", "w")
    worker = FusedWorker(job, AttemptRegistry())
    try:
        worker.run(*only_shard(worker))
    finally:
        worker.shard_worker.close()
    rows = ledger(str(tmp_path / "out"))
    assert [(row["status"], row["method"]) for row in rows] == [("colorized", method)] * 2
    assert all(row["mean_chroma"] > 0.5 and row["max_delta_l"] < 1 for row in rows)


def test_signed_results_are_what_the_ledger_says_with_their_borders_neutral(tmp_path: Path) -> None:
    chain, key = make_signer(tmp_path)
    framed = np.pad(np.asarray(photograph(1, 128, 96)), 16, constant_values=190)
    fill(str(tmp_path / "in"), {"a.png": encoded(Image.fromarray(framed), "PNG")})
    settings = [f"output.c2pa.certificates={chain}", f"output.c2pa.key={key}", "model.neutral_borders=true"]
    config = load(JobConfig, None, ["model.side=64", "output.format=png", *settings])
    job = Job(config, str(tmp_path / "in"), str(tmp_path / "out"), "run", "d", "w")
    worker = FusedWorker(job, AttemptRegistry())
    try:
        worker.run(*only_shard(worker))
    finally:
        worker.shard_worker.close()
    (row,) = ledger(str(tmp_path / "out"))
    data = (tmp_path / "out" / row["output_key"]).read_bytes()
    assert hashlib.sha256(data).hexdigest() == row["output_sha256"]
    with c2pa.Reader("image/png", io.BytesIO(data)) as reader:
        assert reader.get_validation_state() == "Valid"
    rgb = np.asarray(Image.open(io.BytesIO(data))).astype(int)
    spread = rgb.max(axis=2) - rgb.min(axis=2)
    assert spread[:8].max() <= 1
    assert spread[30:-30, 30:-30].max() > 5


@pytest.mark.parametrize("format", ["jpeg", "tiff"])
def test_a_labelled_result_is_taller_and_its_row_speaks_of_the_source(format: str, tmp_path: Path) -> None:
    fill(str(tmp_path / "in"), {"a.tif": encoded(photograph(1, 128, 96), "TIFF")})
    for name, streamed in (("memory", 2**30), ("strips", 1)):
        settings = ["model.side=64", f"output.format={format}", "output.label=band"]
        config = load(JobConfig, None, [*settings, f"limits.stream_bytes={streamed}"])
        job = Job(config, str(tmp_path / "in"), str(tmp_path / name), "run", "d", "w")
        worker = FusedWorker(job, AttemptRegistry())
        try:
            worker.run(*only_shard(worker))
        finally:
            worker.shard_worker.close()
        (row,) = ledger(str(tmp_path / name))
        assert (row["width"], row["height"]) == (128, 96)
        assert "rows with a label were added below" in row["message"]
        with Image.open(tmp_path / name / row["output_key"]) as image:
            assert image.width == 128
            assert image.height > 96
            assert np.asarray(image)[-1].min() > 245
