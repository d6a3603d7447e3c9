"""An estimate is measured on the user's own images, whatever they are."""

from __future__ import annotations

from pathlib import Path

from pipeline.config.job import JobConfig
from pipeline.config.loading import load
from pipeline.plan.plan import make_plan
from pipeline.run.estimate import estimate_seconds
from pipeline.shard.job import Job
from pipeline.storage import open_store
from tests.support.job_runner import encoded, fill, photograph


def test_images_that_will_fail_do_not_end_the_estimate(tmp_path: Path) -> None:
    files = {
        "broken.jpg": b"\xff\xd8\xff\xe0 not much of a JPEG",
        "gray.png": encoded(photograph(1), "PNG"),
        "too wide for WebP.png": encoded(photograph(2, 16_400, 16), "PNG"),
    }
    fill(str(tmp_path / "in"), files)
    config = load(JobConfig, None, ["model.side=64", "output.format=webp"])
    job = Job(config, str(tmp_path / "in"), str(tmp_path / "out"), "run", "d", "w")
    stores = open_store(job.input, config.storage), open_store(job.output, config.storage)
    estimate = estimate_seconds(job, make_plan(*stores, config, "d", workers=1))
    assert estimate.seconds > 0
    assert "measured on 3 of these images" in estimate.basis
    assert not (tmp_path / "out").exists()
