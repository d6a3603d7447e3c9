"""Strokes and the factor on chroma: what a preview computes is what a run delivers."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.color import spaces
from pipeline.config.job import JobConfig
from pipeline.config.loading import load
from pipeline.errors import FailureCode, ImageFailure
from pipeline.guides.guide import BrushStroke, Guide
from pipeline.models.method_list import open_weights, weights_digest
from pipeline.records import Item
from pipeline.run.attempts import AttemptRegistry
from pipeline.shard.fused import FusedWorker
from pipeline.shard.hints import color_guided
from pipeline.shard.job import Job
from pipeline.storage import open_store
from tests.support.job_runner import encoded, fill, ledger, photograph
from tests.support.real_colour import toned, with_stamp
from tests.support.samples import decoded, photo
from tests.support.samples import encoded as samples_encoded

RED = BrushStroke("#c81e1e", 0.06, ((0.3, 0.5), (0.7, 0.5)))
ERASER = BrushStroke(None, 0.2, ((0.3, 0.5), (0.7, 0.5)))
STRIPS = "limits.stream_bytes=100000"
DRAWN = Guide(strokes=(RED,), side=64)


def lightness(height: int = 48, width: int = 64) -> np.ndarray:
    return np.full((height, width), 33_000, np.uint16)


def predicted(a: float, b: float) -> np.ndarray:
    return np.broadcast_to(np.array([a, b], np.float32)[:, None, None], (2, 16, 16)).copy()


def lab(guide: Guide, ab: np.ndarray | None) -> np.ndarray:
    return np.moveaxis(spaces.srgb_to_lab(color_guided(lightness(), ab, guide).rgb / 255), -1, 0)


def test_a_stroke_gives_its_colour_where_it_is_and_leaves_the_prediction_far_away() -> None:
    _, a, _ = lab(DRAWN, predicted(0, 20))
    assert a[24, 32] > 40
    assert abs(a[2, 2]) < 10
    _, a, b = lab(DRAWN, None)
    assert a.min() > 40
    assert np.ptp(b) < 2


def test_the_factor_is_on_prediction_and_strokes_and_zero_is_gray() -> None:
    plain = lab(DRAWN, predicted(0, 20))
    half = lab(Guide(strokes=(RED,), side=64, chroma=0.5), predicted(0, 20))
    np.testing.assert_allclose(half[1:], plain[1:] / 2, atol=1)
    gray = color_guided(lightness(), predicted(0, 20), Guide(strokes=(RED,), side=64, chroma=0.0)).rgb
    assert (gray == gray[0, 0, 0]).all()


def test_erased_strokes_leave_the_prediction_as_it_was() -> None:
    erased = Guide(strokes=(RED, ERASER), side=64)
    wanted = color_guided(lightness(), predicted(9, 20), Guide()).rgb
    assert (color_guided(lightness(), predicted(9, 20), erased).rgb == wanted).all()
    with pytest.raises(ImageFailure, match="all are erased") as raised:
        color_guided(lightness(), None, erased)
    assert raised.value.code == FailureCode.GUIDE_INVALID


def test_a_run_delivers_what_the_preview_shows(tmp_path: Path) -> None:
    tiff = encoded(photograph(5), "TIFF", save_all=True, append_images=[photograph(6)])
    fill(str(tmp_path / "in"), {"a.png": encoded(photograph(1), "PNG"), "two.tif": tiff})
    fill(str(tmp_path / "in"), {"strips.tif": encoded(photograph(7, 300, 200), "TIFF")})
    settings = {"model.side": 64, "output.format": "tiff", "limits.stream_bytes": 50_000, "guides.side": 64}
    config = load(JobConfig, None, [f"{key}={value}" for key, value in settings.items()])
    source = open_store(str(tmp_path / "in"), config.storage)
    opened = open_weights(config.model.method, config.model.weights)
    job = Job(config, source.uri, str(tmp_path / "out"), "run", "d", opened.digest)
    guides = {"a.png": Guide(strokes=(RED,), side=64, chroma=1.5)}
    guides |= {key: Guide(chroma=0.0) for key in ("two.tif", "strips.tif")}
    items = [
        Item(o.key, o.etag, o.bytes, output_key=f"images/{o.key}.tif", guide=guides[o.key].to_json())
        for o in source.list("")
    ]
    worker = FusedWorker(job, AttemptRegistry())
    try:
        worker.run("shard", items)
        pixels = decoded((tmp_path / "in/a.png").read_bytes(), model_side=64)
        (ab,) = worker.predictors.of(config.model.method)([pixels.model_L])
    finally:
        worker.shard_worker.close()
    rows = {row["key"]: row for row in ledger(job.output)}
    assert rows["a.png"]["message"] == "guided by strokes, chroma"
    assert {key: rows[key]["status"] for key in guides} == dict.fromkeys(guides, "colorized")
    assert (tiff_pixels(tmp_path, rows["a.png"]) == color_guided(pixels.L_u16, ab, guides["a.png"]).rgb).all()
    for key in ("two.tif", "strips.tif"):
        assert rows[key]["mean_chroma"] == 0
        gray = tiff_pixels(tmp_path, rows[key])
        assert (gray == gray[..., :1]).all()


@pytest.mark.slow
def test_what_stays_gray_has_no_colour_of_its_own_either(tmp_path: Path) -> None:
    """Toned, with a real colour that a run would keep, and a label that would say who coloured it."""
    rgb = with_stamp(toned(photo(240, 360), "sepia"))
    assert decoded(samples_encoded(rgb, "PNG")).real_colour is not None
    fill(str(tmp_path / "in"), {"a.png": samples_encoded(rgb, "PNG"), "m.tif": samples_encoded(rgb, "TIFF")})
    settings = {"model.side": 64, "output.format": "tiff", "output.label": "band"}
    config = load(JobConfig, None, [f"{key}={value}" for key, value in settings.items()] + [STRIPS])
    source = open_store(str(tmp_path / "in"), config.storage)
    opened = open_weights(config.model.method, config.model.weights)
    job = Job(config, source.uri, str(tmp_path / "out"), "run", "d", opened.digest)
    gray = Guide(method="gray", weights=weights_digest("gray", None)).to_json()
    items = [
        Item(o.key, o.etag, o.bytes, output_key=f"images/{o.key}.tif", guide=gray) for o in source.list("")
    ]
    worker = FusedWorker(job, AttemptRegistry())
    try:
        worker.run("shard", items)
    finally:
        worker.shard_worker.close()
    rows = {row["key"]: row for row in ledger(job.output)}
    for row in rows.values():
        assert (row["status"], row["method"], row["mean_chroma"]) == ("colorized", "gray", 0)
        pixels = tiff_pixels(tmp_path, row)
        assert pixels.shape == rgb.shape
        assert (pixels == pixels[..., :1]).all()
        assert row["max_delta_l"] < 1
        assert (
            b"digitalsourcetype/algorithmicallyEnhanced"
            in (tmp_path / "out" / row["output_key"]).read_bytes()
        )
    assert rows["a.png"]["message"] == "no colour was added"


def tiff_pixels(root: Path, row: dict) -> np.ndarray:
    with Image.open(io.BytesIO((root / "out" / row["output_key"]).read_bytes())) as image:
        return np.asarray(image.convert("RGB"))
