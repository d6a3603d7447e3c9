"""Guides in a whole bucket job: in a pool of processes, on a real Ray, from a real S3 server."""

from __future__ import annotations

import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from tests.support.job_runner import FAST, encoded, fill, image_digests, ledger, photograph, run

SIZE = (96, 72)


def scribble(color: tuple[int, int, int], size: tuple[int, int] = SIZE) -> bytes:
    """A PNG with one broad stroke."""
    rgba = np.zeros((size[1], size[0], 4), np.uint8)
    rgba[size[1] // 3 : size[1] // 2, size[0] // 4 : size[0] // 2] = (*color, 255)
    return encoded(Image.fromarray(rgba), "PNG")


def colourful(seed: int) -> bytes:
    """A picture in colour, of the shapes that the photographs have."""
    return encoded(Image.merge("RGB", [photograph(seed + i) for i in range(3)]), "JPEG", quality=95)


GUIDES = [
    {"key": "003.jpg", "scribbles": "a.png"},
    {"key": "013.jpg", "scribbles": "half.png"},
    {"key": "023.jpg", "scribbles": "a.png", "method": "scribble"},
    {"key": "033.jpg", "points": [[20, 30, "#2a6e3f", 6], [70, 40, "#8a4b2a", 6]]},
    {"key": "043.jpg", "points": [[20, 30, "#2a6e3f"]], "scribbles": "a.png"},
    {"key": "053.jpg", "reference": "colour.jpg"},
    {"key": "063.jpg", "reference": "colour.jpg", "method": "welsh"},
    {"key": "073.jpg", "style": "colour.jpg"},
    {"key": "083.jpg", "method": "iizuka"},
    {"key": "093.jpg", "style": "colour.jpg", "points": [[20, 30, "#2a6e3f", 6]]},
]
METHODS = ["unet", "unet", "scribble", "unet", "unet", "reference", "welsh", "iizuka", "iizuka", "iizuka"]


@pytest.mark.first
@pytest.mark.ray
@pytest.mark.timeout(900)  # four runs, of which two on a real Ray
def test_ten_guided_images_among_a_hundred_and_one_changed_guide(s3_moto, colorize):
    storage, settings = s3_moto.storage_config, s3_moto.settings
    root = f"s3://{s3_moto.bucket()}"
    fill(f"{root}/in", {f"{i:03d}.jpg": encoded(photograph(i)) for i in range(100)}, storage)
    objects = {"a.png": scribble((200, 30, 30)), "half.png": scribble((30, 30, 200), (48, 36))}
    lines = "\n".join(json.dumps(row) for row in GUIDES).encode()
    fill(f"{root}/guides", {**objects, "colour.jpg": colourful(50), "guides.jsonl": lines}, storage)
    args = ("--input", f"{root}/in", *settings, "--set", "report.sample=0")
    guided = (*args, "--guides", f"{root}/guides/guides.jsonl")

    first = colorize("--output", f"{root}/out", *guided)
    assert first.returncode == 0, first.stdout + first.stderr
    assert (
        "10 images: 1 with method alone, 3 with points, 2 with reference, 4 with scribbles, 2 with style"
        in first.stdout
    )
    assert re.search(r"of these with guides +10\n", first.stdout)
    rows = {row["key"]: row for row in ledger(f"{root}/out", storage)}
    assert len(rows) == 100
    assert {row["status"] for row in rows.values()} == {"colorized"}
    assert [row["key"] for row in rows.values() if row["guide_digest"]] == [row["key"] for row in GUIDES]
    assert [rows[row["key"]]["method"] for row in GUIDES] == METHODS
    assert [row["method"] for row in rows.values()].count("unet") == 90 + METHODS.count("unet")
    before = image_digests(f"{root}/out", storage)

    assert "Nothing to do" in colorize("--output", f"{root}/out", *guided).stdout
    fill(f"{root}/guides", {"half.png": scribble((30, 160, 30), (48, 36))}, storage)
    again = run("--output", f"{root}/out", *guided, *FAST)
    assert again.returncode == 0, again.stderr
    assert "to do    1 file," in again.stdout
    after = image_digests(f"{root}/out", storage)
    assert [key for key in after if after[key] != before[key]] == ["images/013.jpg"]

    plain = colorize("--output", f"{root}/out", *args, "--drop-guides")
    assert plain.returncode == 0, plain.stderr
    assert "to do    10 files" in plain.stdout
    unguided = image_digests(f"{root}/out", storage)
    changed = [key for key in after if after[key] != unguided[key]]
    assert changed == [f"images/{row['key']}" for row in GUIDES]

    staged = run("--output", f"{root}/out", *guided, *FAST, "--set", "run.topology=staged")
    assert staged.returncode == 0, staged.stderr
    assert "to do    10 files" in staged.stdout
    assert image_digests(f"{root}/out", storage) == after


@pytest.fixture
def small(tmp_path):
    fill(str(tmp_path / "in"), {f"{i}.jpg": encoded(photograph(i)) for i in range(4)})
    return tmp_path


def test_what_does_not_fit_is_named_before_any_work_starts(small, in_process):
    objects = {"a.png": scribble((1, 2, 3), (50, 36)), "b.png": scribble((1, 2, 3))}
    lines = "key,scribbles,reference,method\n0.jpg,a.png,,\n1.jpg,b.png,gone.jpg,\n9.jpg,b.png,,\n2.jpg,,,x\n"
    fill(str(small / "guides"), {**objects, "guides.csv": lines.encode()})
    places = ("--input", small / "in", "--output", small / "out")
    refused = in_process("colorize_bucket", *places, "--guides", small / "guides/guides.csv")
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
    (line,) = [line for line in refused.stderr.splitlines() if line.startswith("error: ")]
    assert "4 problems with the guides" in line
    for message in (
        "'a.png' of 50 x 36 do not fit",
        "no 'gone.jpg'",
        "'9.jpg' is not in",
        "unknown method 'x'",
    ):
        assert message in line
    assert not (small / "out").exists()


@pytest.mark.job
def test_images_that_lack_a_guide_are_rows_that_say_so_and_a_dry_run_counts_guides(small, colorize):
    fill(str(small / "in"), {"1.scribbles.png": scribble((200, 30, 30)), "2.reference.jpg": colourful(50)})
    places = ("--input", small / "in", "--output", small / "out", "--method", "scribble")
    dry = colorize(*places, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "guides   2 images: 1 with reference, 1 with scribbles (2 sidecars)" in dry.stdout
    assert not (small / "out").exists()
    done = colorize(*places)
    assert done.returncode == 0, done.stderr
    rows = {row["key"]: row for row in ledger(str(small / "out"))}
    assert {key: row["status"] for key, row in rows.items()} == {
        "0.jpg": "skipped_other",
        "1.jpg": "colorized",
        "2.jpg": "colorized",
        "3.jpg": "skipped_other",
    }
    assert "'scribble' needs scribbles or points" in rows["0.jpg"]["message"]
    assert [rows[f"{i}.jpg"]["method"] for i in (1, 2)] == ["scribble", "reference"]


@pytest.mark.job
def test_one_reference_for_a_whole_job(small, colorize):
    fill(str(small), {"colour.jpg": colourful(50)})
    shared = ("--method", "welsh", "--set", f"model.reference={small / 'colour.jpg'}")
    done = colorize("--input", small / "in", "--output", small / "out", *shared)
    assert done.returncode == 0, done.stderr
    rows = ledger(str(small / "out"))
    results = {(row["status"], row["method"], row["guide_digest"]) for row in rows}
    assert (results, len(rows)) == ({("colorized", "welsh", None)}, 4)
    with Image.open(io.BytesIO((small / "out/images/0.jpg").read_bytes())) as image:
        assert np.ptp(np.asarray(image).astype(int), axis=2).max() > 10
