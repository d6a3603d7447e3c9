"""The promises of `jobs/colorize_bucket.py`, in the words of its users; on Ray where Ray matters."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
import tifffile
from PIL import Image

from tests.support.job_runner import (
    FAST,
    POOL,
    REPO,
    encoded,
    fill,
    image_digests,
    lasting,
    ledger,
    photograph,
    run,
)


@pytest.fixture(scope="module")
def thirty(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, object]:
    """Thirty scans, one of them cut off in the middle, and a finding aid; coloured once."""
    root = tmp_path_factory.mktemp("thirty")
    files = {f"box-{i % 3}/scan {i:02d}.jpg": encoded(photograph(i)) for i in range(30)}
    files["box-1/scan 13.jpg"] = encoded(photograph(13, 400, 300), quality=95)[:9000]
    files["finding aid.txt"] = b"Box 1: harbour, 1911"
    fill(str(root / "in"), files)
    places = ("--input", root / "in", "--output", root / "out")
    return root / "in", root / "out", run(*places, *POOL, "--set", "run.workers=2")


@pytest.mark.job
def test_one_corrupt_file_among_thirty_costs_one_image(thirty):
    _, out, done = thirty
    assert done.returncode == 3, done.stderr
    rows = ledger(str(out))
    assert [row["status"] for row in rows].count("colorized") == 29
    assert len(image_digests(str(out))) == 29
    (failed,) = [row for row in rows if row["status"] == "failed"]
    assert failed["key"] == "box-1/scan 13.jpg"
    assert failed["failure_code"] == "truncated"
    (other,) = [row for row in rows if row["status"] == "skipped_other"]
    assert other["key"] == "finding aid.txt"
    assert "Traceback" not in done.stderr + done.stdout
    assert "truncated" in done.stdout


@pytest.mark.job
def test_outputs_keep_size_and_lightness(thirty):
    source, out, _ = thirty
    for row in ledger(str(out)):
        if row["status"] == "colorized":
            with Image.open(out / row["output_key"]) as image, Image.open(source / row["key"]) as before:
                assert image.mode == "RGB"
                assert image.size == before.size == (row["width"], row["height"])
            assert row["max_delta_l"] < 1.0


@pytest.mark.job
def test_the_same_command_again_does_nothing_and_still_tells_of_the_failure(thirty, colorize):
    source, out, _ = thirty
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    again = colorize("--input", source, "--output", out)
    assert again.returncode == 3, again.stderr
    assert "Nothing to do" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


@pytest.mark.job
def test_a_run_leaves_its_plan_configuration_summary_and_report(thirty):
    _, out, _ = thirty
    (folder,) = (out / "runs").iterdir()
    assert {path.name for path in folder.iterdir()} >= {
        "plan",
        "config.yaml",
        "ledger.parquet",
        "summary.json",
        "report",
    }
    summary = json.loads((folder / "summary.json").read_text())
    counts = {"colorized": 29, "failed": 1, "skipped_other": 1, "skipped_color": 0, "archived": 0}
    assert summary["counts"] == counts
    assert summary["exit_status"] == 3
    page = (folder / "report" / "index.html").read_text()
    assert "box-0/scan 00.jpg" in page
    assert Image.open(folder / "report" / "contact-sheet.png").width > 500


@pytest.mark.job
def test_duckdb_pandas_and_polars_read_the_ledger(thirty):
    _, out, _ = thirty
    glob = str(out / "ledger" / "*" / "*.parquet")
    assert duckdb.sql(f"select count(*) from '{glob}' where status = 'colorized'").fetchall() == [(29,)]
    assert len(pd.concat([pd.read_parquet(path) for path in (out / "ledger").rglob("*.parquet")])) == 31
    assert pl.read_parquet(glob).filter(pl.col("failure_code") == "truncated").height == 1


@pytest.mark.ray
def test_processes_and_ray_give_the_same_bytes_and_rows(thirty, tmp_path):
    source, out, _ = thirty
    more = ("--set", "run.engine=ray", "--set", "plan.shard_images=3")
    on_ray = run("--input", source, "--output", tmp_path / "out", *FAST, *more)
    assert on_ray.returncode == 3, on_ray.stderr
    assert image_digests(str(tmp_path / "out")) == image_digests(str(out))
    assert lasting(ledger(str(tmp_path / "out"))) == lasting(ledger(str(out)))


@pytest.mark.ray
def test_staged_and_fused_give_the_same_bytes(thirty, tmp_path):
    source, out, _ = thirty
    staged = run("--input", source, "--output", tmp_path / "out", *FAST, "--set", "run.topology=staged")
    assert staged.returncode == 3, staged.stderr
    assert re.search(r"Balance .* is the bottleneck: 1 predict worker\(s\) \d+% busy", staged.stdout)
    assert image_digests(str(tmp_path / "out")) == image_digests(str(out))
    assert lasting(ledger(str(tmp_path / "out"))) == lasting(ledger(str(out)))


@pytest.mark.job
def test_a_dry_run_prints_the_plan_and_changes_nothing(thirty, tmp_path, colorize):
    source, _, _ = thirty
    dry = colorize("--input", source, "--output", tmp_path / "out", "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "31 files" in dry.stdout
    assert "shards" in dry.stdout
    assert "measured on 4 of these images" in dry.stdout
    assert not (tmp_path / "out").exists()


@pytest.mark.job
def test_failed_images_are_tried_again_when_asked(thirty, tmp_path, colorize):
    source, first, _ = thirty
    out = shutil.copytree(first, tmp_path / "out")
    again = colorize("--input", source, "--output", out, "--set", "plan.retry_failed=true")
    assert again.returncode == 3, again.stderr
    assert "to do    1 file," in again.stdout
    rows = [row for row in ledger(str(out)) if row["status"] == "failed"]
    assert sorted((row["key"], row["attempts"]) for row in rows) == [
        ("box-1/scan 13.jpg", 1),
        ("box-1/scan 13.jpg", 2),
    ]


@pytest.mark.job
def test_limit_and_patterns_choose_what_is_worked_on(tmp_path, colorize):
    source, out = tmp_path / "in", tmp_path / "out"
    files = {f"{name}.png": encoded(photograph(i), "PNG") for i, name in enumerate("abcd")}
    fill(str(source), {**files, "notes.txt": b"x", "skip/e.png": files["a.png"]})
    chosen = ("--set", 'plan.exclude=["*.txt", "skip/*"]')
    assert colorize("--input", source, "--output", out, *chosen, "--limit", "2").returncode == 0
    assert [row["key"] for row in ledger(str(out))] == ["a.png", "b.png"]
    assert colorize("--input", source, "--output", out, *chosen).returncode == 0
    assert [row["key"] for row in ledger(str(out))] == ["a.png", "b.png", "c.png", "d.png"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--set", "output.formt=png"), ["output.formt", "format, quality"]),
        (("--set", "output.quality=101"), ["output.quality", "101", "100"]),
        (("--method", "sepia"), ["model.method", "sepia", "iizuka"]),
        (("--weights", "/nowhere/w.safetensors"), ["/nowhere/w.safetensors"]),
        (("--config", "/nowhere/c.yaml"), ["/nowhere/c.yaml"]),
        (("--set", "output.c2pa.certificates=/nowhere/chain.pem"), ["output.c2pa", "/nowhere/chain.pem"]),
        (("--limit", "0"), ["plan.limit", "0", "greater than or equal to 1"]),
    ],
)
def test_bad_usage_is_one_line_and_exit_2(tmp_path, in_process, args, said):
    fill(str(tmp_path / "in"), {"a.jpg": encoded(photograph(0))})
    refused = in_process("colorize_bucket", "--input", tmp_path / "in", "--output", tmp_path / "out", *args)
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
    (line,) = [line for line in refused.stderr.splitlines() if line.startswith("error: ")]
    assert all(word in line for word in said), line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("source", "out", "said"),
    [
        ("missing", "out", "missing"),
        ("in", "in", "the input"),
        ("in", "in/../in/sub/", "is inside the input"),
        ("ftp://host/x", "out", "ftp"),
    ],
)
def test_bad_places_are_refused_before_anything_starts(tmp_path, in_process, source, out, said):
    fill(str(tmp_path / "in"), {"a.jpg": encoded(photograph(0))})
    place = source if "://" in source else tmp_path / source
    refused = in_process("colorize_bucket", "--input", place, "--output", f"{tmp_path}/{out}")
    assert refused.returncode in (1, 2)
    assert "Traceback" not in refused.stderr
    assert said in refused.stderr
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["a.jpg"]


def test_empty_input_is_done_at_once(tmp_path, in_process):
    (tmp_path / "in").mkdir()
    done = in_process("colorize_bucket", "--input", tmp_path / "in", "--output", tmp_path / "out")
    assert (done.returncode, "Nothing to do" in done.stdout) == (0, True)


@pytest.mark.job
def test_colour_photographs_are_left_alone_unless_told_otherwise(tmp_path, colorize):
    source, out = tmp_path / "in", tmp_path / "out"
    picture = Image.merge("RGB", [photograph(seed, 128, 128) for seed in (1, 2, 3)])
    fill(str(source), {"colour.png": encoded(picture, "PNG"), "gray.png": encoded(photograph(4), "PNG")})
    assert colorize("--input", source, "--output", out).returncode == 0
    assert [row["status"] for row in ledger(str(out))] == ["skipped_color", "colorized"]
    told = colorize("--input", source, "--output", out, "--set", "model.skip_color=false")
    assert told.returncode == 0
    assert [row["status"] for row in ledger(str(out))].count("colorized") == 3


@pytest.mark.job
def test_names_that_would_meet_make_one_failed_row(tmp_path, colorize):
    source, out = tmp_path / "in", tmp_path / "out"
    tiff, jpeg = encoded(photograph(1), "TIFF"), encoded(photograph(2))
    fill(str(source), {"a.tif": tiff, "a.tif.jpg": jpeg})
    assert colorize("--input", source, "--output", out).returncode == 3
    first, second = ledger(str(out))
    assert (first["status"], first["output_key"]) == ("colorized", "images/a.tif.jpg")
    assert (second["status"], second["failure_code"]) == ("failed", "output_collision")


@pytest.mark.job
def test_hostile_files_get_one_row_each_and_the_job_survives_them(tmp_path, colorize):
    nasty = REPO.parent / "shared" / "photos" / "nasty"
    if not nasty.is_dir():
        pytest.skip("the collection of broken and hostile files is not here")
    done = colorize("--input", nasty, "--output", tmp_path / "out")
    assert done.returncode == 3, done.stderr
    keys = [row["key"] for row in ledger(str(tmp_path / "out"))]
    assert keys == sorted(str(path.relative_to(nasty)) for path in nasty.rglob("*") if path.is_file())
    assert {row["failure_code"] for row in ledger(str(tmp_path / "out"))} <= {
        *(None, "not_an_image", "unsupported", "corrupt", "truncated", "too_large")
    }


@pytest.mark.job
def test_every_output_says_that_its_colours_are_guesses(thirty):
    _, out, _ = thirty
    row = next(row for row in ledger(str(out)) if row["status"] == "colorized")
    data = (out / row["output_key"]).read_bytes()
    packet = Image.open(io.BytesIO(data)).info["xmp"].decode()
    assert "digitalsourcetype/compositeWithTrainedAlgorithmicMedia" in packet
    day = f"{datetime.fromtimestamp(int(os.environ['SOURCE_DATE_EPOCH']), UTC):%Y-%m-%d}"
    for fact in ("Fiat Color", row["weights_digest"], row["source_sha256"], f">{day}<"):
        assert fact in packet


@pytest.mark.job
def test_masters_with_access_copies_are_delivered(tmp_path, colorize):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for index in range(3):
        levels = np.asarray(photograph(index, 320, 200)).astype(np.uint16) * 257
        tifffile.imwrite(source / f"scan {index}.tif", levels, compression="zlib")
    masters = ("--config", REPO / "configs" / "colorize" / "master-and-access.yaml")
    done = colorize("--input", source, "--output", out, *masters, "--set", "output.derivative.side=160")
    assert done.returncode == 0, done.stderr
    for row in ledger(str(out)):
        assert row["output_key"] == f"images/{row['key']}"
        assert row["derivative_key"] == f"derivatives/{row['key']}.jpg"
        master = tifffile.TiffFile(out / row["output_key"]).pages[0]
        assert (master.shape, master.dtype, master.compression.name) == ((200, 320, 3), "uint16", "LZW")
        with Image.open(out / row["derivative_key"]) as access:
            assert (access.format, access.size) == ("JPEG", (160, 100))
            assert row["source_sha256"] in access.info["xmp"].decode()
