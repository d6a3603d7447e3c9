"""Guided images in the fused worker, without Ray: the effect of each kind of guide on result and row."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.config.job import JobConfig
from pipeline.config.loading import load
from pipeline.errors import ConfigError
from pipeline.models.method_list import open_weights, weights_digest
from pipeline.plan.plan import make_plan
from pipeline.run.attempts import AttemptRegistry
from pipeline.shard.fused import FusedWorker
from pipeline.shard.job import Job
from pipeline.shard.open_guides import open_guides, pin_pictures
from pipeline.storage import open_store
from tests.support.job_runner import encoded, fill, ledger, photograph

SIZE = (96, 72)


class Archive:
    """Photographs and guides in a folder, coloured by one fused worker at a time."""

    def __init__(self, root: Path) -> None:
        self.root = root
        fill(
            str(root / "in"), {f"{name}.png": encoded(photograph(i), "PNG") for i, name in enumerate("abcd")}
        )
        warm = photograph(9).convert("RGB").convert("RGB", matrix=(1, 0, 0, 0, 0, 0.7, 0, 0, 0, 0, 0.3, 0))
        stroke = np.zeros((SIZE[1], SIZE[0], 4), np.uint8)
        stroke[20:50, 30:60] = (200, 30, 30, 255)
        objects = {
            "warm.jpg": encoded(warm),
            "gray.jpg": encoded(photograph(8)),
            "bad.jpg": b"\xff\xd8\xff\xe0",
        }
        fill(str(root / "guides"), objects | {"red.png": encoded(Image.fromarray(stroke), "PNG")})

    def color(self, *rows: dict[str, object], between=lambda: None, **settings: object) -> dict[str, dict]:
        """Ledger rows by key of a run with these guides; `between` is called when the plan is made."""
        lines = "\n".join(json.dumps(row) for row in rows)
        fill(str(self.root / "guides"), {"guides.jsonl": lines.encode()})
        wanted = {"model.side": 64, "output.format": "png", "guides.file": self.root / "guides/guides.jsonl"}
        config = load(JobConfig, None, [f"{k}={v}" for k, v in (wanted | settings).items()])
        opened = open_weights(config.model.method, config.model.weights)
        config = pin_pictures(config, opened.guides)
        source = open_store(str(self.root / "in"), config.storage)
        out = open_store(str(self.root / "out"), config.storage)
        guides = open_guides(source, config)
        for old in (self.root / "out").glob("ledger/*/*"):
            old.unlink()
        shards = make_plan(source, out, config, "d", workers=1, guides=guides).shards
        between()
        worker = FusedWorker(Job(config, source.uri, out.uri, "run", "d", opened.digest), AttemptRegistry())
        try:
            for shard in shards:
                worker.run(shard.shard_id, shard.items)
        finally:
            worker.shard_worker.close()
        return {row["key"]: row for row in ledger(out.uri)}

    def pixels(self, key: str) -> np.ndarray:
        return np.asarray(Image.open(self.root / "out/images" / key).convert("RGB")).astype(int)


@pytest.fixture
def archive(tmp_path):
    return Archive(tmp_path)


def redness(rgb: np.ndarray) -> np.ndarray:
    return rgb[..., 0] - rgb[..., 1]


def test_scribbles_and_points_correct_the_prediction_near_them_alone(archive):
    archive.color()
    plain = {key: archive.pixels(f"{key}.png") for key in "abc"}
    rows = archive.color(
        {"key": "a.png", "scribbles": "red.png"},
        {"key": "b.png", "points": [[45, 35, "#c81e1e", 12]]},
    )
    for key in "ab":
        after = archive.pixels(f"{key}.png")
        inside = (slice(30, 40), slice(40, 50))
        assert redness(after)[inside].mean() > redness(plain[key])[inside].mean() + 20
        assert np.abs(after - plain[key])[:8, -8:].mean() < 25
    assert (archive.pixels("c.png") == plain["c"]).all()
    assert rows["a.png"]["message"] == "guided by scribbles"
    assert (rows["a.png"]["method"], rows["a.png"]["status"]) == ("unet", "colorized")
    assert rows["a.png"]["guide_digest"]
    assert rows["c.png"]["guide_digest"] is None


def test_a_style_is_borrowed_by_another_method_in_the_same_job(archive):
    rows = archive.color({"key": "a.png", "style": "warm.jpg"}, {"key": "b.png", "method": "iizuka"})
    assert [rows[f"{key}.png"]["method"] for key in "abc"] == ["iizuka", "iizuka", "unet"]
    assert (
        rows["a.png"]["weights_digest"] == weights_digest("iizuka", None) != rows["c.png"]["weights_digest"]
    )
    styled = archive.pixels("a.png")
    archive.color({"key": "a.png", "method": "iizuka"})
    assert (archive.pixels("a.png") != styled).any()


def test_one_style_for_a_whole_job_is_the_same_as_one_for_each_image(archive):
    warm = archive.root / "guides/warm.jpg"
    archive.color(**{"model.method": "iizuka", "model.style": warm})
    shared = archive.pixels("a.png")
    archive.color({"key": "a.png", "style": str(warm)}, **{"model.method": "iizuka"})
    assert (archive.pixels("a.png") == shared).all()


def test_a_shared_picture_counts_by_its_content_and_must_fit_the_method(archive):
    guides = archive.root / "guides"

    def pinned(method: str, kind: str, name: str) -> str:
        config = load(JobConfig, None, [f"model.method={method}", f"model.{kind}={guides / name}"])
        return str(getattr(pin_pictures(config, open_weights(method, None).guides).model, kind))

    first = pinned("iizuka", "style", "warm.jpg")
    fill(str(guides), {"copy.jpg": (guides / "warm.jpg").read_bytes()})
    assert pinned("iizuka", "style", "copy.jpg").partition("#")[2] == first.partition("#")[2]
    for method, name, message in (
        ("unet", "warm.jpg", "methods that do: iizuka"),
        ("iizuka", "gone.jpg", "gone.jpg"),
        ("iizuka", "bad.jpg", "its style"),
        ("iizuka", f"warm.jpg#sha256={'0' * 64}", "has changed"),
    ):
        with pytest.raises(ConfigError, match=r"^configuration key 'model\.style'") as error:
            pinned(method, "style", name)
        assert message in str(error.value)


def test_guides_that_go_or_change_after_the_plan_are_failed_rows(archive):
    guides = archive.root / "guides"

    def meanwhile() -> None:
        (guides / "red.png").unlink()
        (guides / "warm.jpg").write_bytes((guides / "gray.jpg").read_bytes())

    rows = archive.color(
        {"key": "a.png", "scribbles": "red.png"},
        {"key": "b.png", "style": "warm.jpg"},
        {"key": "c.png", "style": "bad.jpg"},
        between=meanwhile,
    )
    codes = [rows[f"{key}.png"]["failure_code"] for key in "abcd"]
    assert codes == ["source_missing", "source_changed", "guide_invalid", None]
    assert "its scribbles 'red.png': deleted since planning" in rows["a.png"]["message"]
    assert "its style 'bad.jpg'" in rows["c.png"]["message"]


def test_weights_that_take_no_style_fail_the_image_that_wants_one(archive):
    model = {"model.method": "iizuka", "model.weights": "iizuka-no-global"}
    rows = archive.color({"key": "a.png", "style": "warm.jpg"}, **model)
    assert [rows[f"{key}.png"]["failure_code"] for key in "ab"] == ["guide_invalid", None]
    assert "take no style" in rows["a.png"]["message"]


def test_hints_are_for_single_pictures_that_memory_holds(archive):
    tiff = encoded(photograph(5), "TIFF", save_all=True, append_images=[photograph(6)])
    fill(str(archive.root / "in"), {"two.tif": tiff, "huge.tif": encoded(photograph(7, 300, 200), "TIFF")})
    point = [[3, 3, "#aabbcc"]]
    rows = archive.color(
        {"key": "two.tif", "points": point},
        {"key": "huge.tif", "points": point},
        **{"output.format": "tiff", "limits.stream_bytes": 50_000},
    )
    codes = [rows[key]["failure_code"] for key in ("a.png", "two.tif", "huge.tif")]
    assert codes == [None, "guide_invalid", "guide_invalid"]
    assert "several pages" in rows["two.tif"]["message"]
    assert "coloured in strips" in rows["huge.tif"]["message"]


@pytest.mark.slow
def test_pictures_guide_masters_in_strips_and_every_page(archive):
    tiff = encoded(photograph(5), "TIFF", save_all=True, append_images=[photograph(5)])
    fill(str(archive.root / "in"), {"two.tif": tiff, "huge.tif": encoded(photograph(7, 300, 200), "TIFF")})
    style = {"style": "warm.jpg"}
    rows = archive.color(
        {"key": "two.tif"} | style,
        {"key": "huge.tif"} | style,
        **{"output.format": "tiff", "limits.stream_bytes": 50_000},
    )
    assert [rows[key]["method"] for key in ("a.png", "two.tif", "huge.tif")] == ["unet", "iizuka", "iizuka"]
    assert {row["status"] for row in rows.values()} == {"colorized"}
    strips = archive.pixels("huge.tif")
    archive.color({"key": "huge.tif"} | style, **{"output.format": "tiff"})
    assert (archive.pixels("huge.tif") == strips).all()
