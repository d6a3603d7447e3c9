"""Other tools' pictures in a whole bucket job with an S3 server, in a pool of processes and on Ray."""

from __future__ import annotations

import re

import pytest
from PIL import Image, ImageOps

from tests.support.job_runner import FAST, encoded, fill, image_digests, ledger, photograph, run


def in_colour(seed: int, tint: float = 0.6) -> bytes:
    """A picture in colour of the photograph: darker red to the left, darker blue to the right."""
    gray = photograph(seed)
    ramp = Image.linear_gradient("L").rotate(90).resize(gray.size)
    bands = [
        Image.composite(gray, gray.point(lambda v: int(v * tint)), m) for m in (ramp, ImageOps.invert(ramp))
    ]
    return encoded(Image.merge("RGB", [bands[0], gray, bands[1]]), "PNG")


@pytest.mark.ray
def test_pictures_of_a_bucket_and_one_that_changes(s3_moto, colorize) -> None:
    storage, settings = s3_moto.storage_config, s3_moto.settings
    root = f"s3://{s3_moto.bucket()}"
    fill(f"{root}/in", {f"a/{i}.jpg": encoded(photograph(i)) for i in range(4)}, storage)
    pictures = {"a/0.jpg": in_colour(0), "a/1_color.png": in_colour(1), "a/2.webp": in_colour(5)}
    fill(f"{root}/pictures", pictures, storage)
    places = ("--input", f"{root}/in", "--output", f"{root}/out", "--method", "borrowed", *settings)
    places += ("--set", f"model.pictures={root}/pictures", "--set", "report.sample=0")

    first = colorize(*places)
    assert first.returncode == 3, first.stdout + first.stderr
    assert f"pictures 3 of 4 images have one in {root}/pictures" in first.stdout
    rows = {row["key"]: row for row in ledger(f"{root}/out", storage)}
    assert [rows[f"a/{i}.jpg"]["status"] for i in range(4)] == [
        "colorized",
        "colorized",
        "failed",
        "skipped_other",
    ]
    assert rows["a/2.jpg"]["failure_code"] == "guide_invalid"
    assert re.search(r"its picture 'a/2\.webp': the picture is ", rows["a/2.jpg"]["message"])
    assert max(rows[f"a/{i}.jpg"]["max_delta_l"] for i in (0, 1)) < 1
    before = image_digests(f"{root}/out", storage)

    fill(f"{root}/pictures", {"a/1_color.png": in_colour(1, 0.8), "a/2.webp": in_colour(2)}, storage)
    again = run(*places, *FAST, "--set", "run.topology=staged")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "to do    2 files" in again.stdout
    after = image_digests(f"{root}/out", storage)
    assert [key for key in after if before.get(key) != after[key]] == ["images/a/1.jpg", "images/a/2.jpg"]
