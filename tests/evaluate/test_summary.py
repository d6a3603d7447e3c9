"""Intervals compared with theory, the Frechet distance with its formula, the classifier with labels."""

from __future__ import annotations

import base64
import csv

import lxml.html
import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from scipy.linalg import sqrtm

from pipeline.evaluate.measure import SCHEMA
from pipeline.evaluate.perceptual import Lite0, classifier_crop, feature_distance, frechet_distance
from pipeline.evaluate.photograph_list import wnid_of
from pipeline.evaluate.settings import EvaluateSection
from pipeline.evaluate.summary import FRECHET, SHARE, Row, summarise
from pipeline.evaluate.tables import html, markdown
from tests.support.paths import SHARED_PHOTOS

EVAL = SHARED_PHOTOS / "eval"
NAMES = ("ground truth", "gray", "constant tint", "net")


def table_of(photographs: int) -> pa.Table:
    """Errors drawn at random; the net's PSNR is the tint's plus 1, its class right on every second one."""
    rng = np.random.default_rng(5)
    rows = []
    for number in range(photographs):
        psnr = float(rng.normal(20, 3))
        for name in NAMES:
            truth = name == "ground truth"
            rows.append(
                {
                    "key": f"{number}",
                    "group": "left" if number % 4 else "right",
                    "colored_by": name,
                    "psnr_db": None if truth else psnr + (name == "net"),
                    "colorfulness_signed": {"ground truth": 40.0, "net": 10.0}.get(name, 0.0),
                    "label": "n01440764" if number % 10 else "",
                    "top1_correct": (number % 2 == 0 if name == "net" else truth) if number % 10 else None,
                    "lite0_features": rng.normal(size=8),
                }
            )
    return pa.Table.from_pylist(rows, SCHEMA)


@pytest.fixture(scope="module")
def rows() -> dict[tuple[str, str], Row]:
    result = summarise(table_of(200), EvaluateSection(resamples=2000, frechet_resamples=20))
    return {(row.group, row.colored_by): row for row in result}


def test_groups_and_counts(rows: dict[tuple[str, str], Row]) -> None:
    assert [key for key in rows if key[0] == "all"] == [
        ("all", name) for name in ("gray", "constant tint", "net", "ground truth")
    ]
    counts = {group: (row.photographs, row.labelled) for (group, _), row in rows.items()}
    assert counts == {"all": (200, 180), "left": (150, 140), "right": (50, 40)}


def test_an_interval_is_what_theory_says(rows: dict[tuple[str, str], Row]) -> None:
    values = [r["psnr_db"] for r in table_of(200).to_pylist() if r["colored_by"] == "net"]
    result = rows["all", "net"].metrics["psnr_db"]
    error = 1.96 * np.std(values) / np.sqrt(200)
    assert result.value == pytest.approx(np.mean(values), rel=1e-6)
    assert result.low == pytest.approx(np.mean(values) - error, abs=0.1 * error)
    assert result.high == pytest.approx(np.mean(values) + error, abs=0.1 * error)


def test_differences_are_paired(rows: dict[tuple[str, str], Row]) -> None:
    difference = rows["all", "net"].differences["psnr_db"]
    assert (difference.value, difference.low, difference.high) == pytest.approx((1, 1, 1), abs=1e-5)
    assert rows["all", "constant tint"].differences == {}


def test_differences_to_another_entry() -> None:
    result = summarise(table_of(20), EvaluateSection(resamples=100, frechet_resamples=0, against="gray"))
    rows = {row.colored_by: row.differences for row in result if row.group == "all"}
    assert rows["gray"] == rows["ground truth"] == {}
    psnr = {row.colored_by: row.metrics["psnr_db"].value or 0 for row in result if row.group == "all"}
    assert rows["net"]["psnr_db"].value == pytest.approx(psnr["net"] - psnr["gray"])
    assert rows["constant tint"]["psnr_db"].value is not None


def test_differences_to_nothing_that_is_measured_are_refused() -> None:
    with pytest.raises(ValueError, match="against='net' is not one of: gray, constant tint, faithful"):
        EvaluateSection(against="net")


def test_what_is_not_there_is_left_out(rows: dict[tuple[str, str], Row]) -> None:
    assert rows["all", "net"].metrics["ssim"].value is None
    assert rows["all", "ground truth"].metrics["psnr_db"].value is None
    assert rows["all", "ground truth"].metrics[FRECHET].value is None
    top1 = rows["all", "net"].metrics["top1_correct"]
    assert top1.value == pytest.approx(80 / 180)  # of the labelled ones: number % 10 != 0
    assert rows["all", "ground truth"].metrics["top1_correct"].value == 1


def test_share_of_the_truths_colourfulness(rows: dict[tuple[str, str], Row]) -> None:
    share = rows["all", "net"].metrics[SHARE]
    assert (share.value, share.low, share.high) == pytest.approx((0.25, 0.25, 0.25))


def test_plates_are_not_taken_together() -> None:
    settings = EvaluateSection(plates=("right", "left"), resamples=100, frechet_resamples=0)
    assert list(dict.fromkeys(row.group for row in summarise(table_of(20), settings))) == ["right", "left"]


def test_the_same_seed_gives_the_same_intervals() -> None:
    settings = EvaluateSection(resamples=100, frechet_resamples=5)
    table = table_of(20)
    assert summarise(table, settings) == summarise(table, settings)
    other = settings.model_copy(update={"seed": 1})
    assert summarise(table, settings) != summarise(table, other)


def test_the_table_for_people(rows: dict[tuple[str, str], Row]) -> None:
    about = {
        "input": "photos", "photographs": 200, "short_side": 128, "unreadable": [], "tint_ab": [1.0, 2.0],
        "groups": ["harbour"], "plates": ["own", "blue"], "against": "gray",
        "entries": [{"name": "net", "method": "iizuka", "weights_sha256": "f" * 64}],
        "resamples": 2000, "frechet_resamples": 20, "seed": 0,
    }  # fmt: skip
    text = markdown(about, list(rows.values()))
    assert "Fréchet distance, EfficientNet-Lite0 features" in text
    assert "FID" not in text
    assert "Of these sources alone: harbour." in text
    assert "What the networks saw: own, blue" in text
    assert "Difference to the gray image on the same photographs:" in text
    (line,) = [line for line in text.splitlines() if line.startswith("| net |")][:1]
    assert "44.4 [" in line  # top-1, %
    assert "| 25 [25, 25] |" in line


def test_the_page_holds_the_tables_and_sheets_and_escapes_what_users_wrote(
    rows: dict[tuple[str, str], Row],
) -> None:
    about = {
        "input": "a & <b>", "photographs": 200, "short_side": 128, "unreadable": [], "tint_ab": [1.0, 2.0],
        "groups": [], "plates": ["own"], "against": "gray",
        "entries": [{"name": "net", "method": "iizuka", "weights_sha256": "f" * 64}],
        "resamples": 2000, "frechet_resamples": 20, "seed": 0,
    }  # fmt: skip
    page = html(about, list(rows.values()), {"<Sheet>": ('in "quotes"', b"JPEG bytes")})
    assert "<h1>Evaluation of a &amp; &lt;b&gt;</h1>" in page
    assert '<h2>&lt;Sheet&gt;</h2>\n<img alt="in &#34;quotes&#34;" src="data:image/jpeg;base64,' in page
    assert base64.b64encode(b"JPEG bytes").decode() in page
    parsed = lxml.html.fromstring(page)
    table, differences = parsed.xpath("//table")[:2]
    shown = [[cell.text for cell in row] for row in table.xpath(".//tr")]
    lines = [line for line in markdown(about, list(rows.values())).splitlines() if line.startswith("| ")]
    written = [[cell.split("[")[0].strip() or None for cell in line.split("|")[1:-1]] for line in lines]
    assert shown == written[: len(shown)]
    assert len(shown) > 3
    assert table.xpath(".//small")[0].text.startswith("[")
    assert (
        differences.getparent().getprevious().text == "Difference to the gray image on the same photographs:"
    )


@pytest.mark.parametrize("photographs", [6, 40])
def test_frechet_distance_is_its_formula(photographs: int) -> None:
    """Below and above the number of features; the formula with the matrix square root of scipy."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(photographs, 12)).astype(np.float32)
    y = (x @ rng.normal(size=(12, 12)) + rng.normal(size=12)).astype(np.float32)
    cx, cy = (np.cov(z.astype(np.float64), rowvar=False) for z in (x, y))
    root = sqrtm(cx @ cy + 1e-12 * np.eye(12)).real
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(cx + cy - 2 * root)
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-3)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-6)
    moved = x + np.float32(3)
    assert frechet_distance(x, moved) == pytest.approx(12 * 9, rel=1e-5)


def test_weights_of_the_frechet_distance_are_repeated_rows() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(2, 9, 4)).astype(np.float32)
    counts = np.array([2, 0, 1, 3, 0, 1, 1, 0, 1])
    repeated = np.repeat(np.arange(9), counts)
    assert frechet_distance(x, y, counts) == pytest.approx(frechet_distance(x[repeated], y[repeated]))
    with pytest.raises(ValueError, match="two images"):
        frechet_distance(x[:1], y[:1])


def test_feature_distance_by_hand() -> None:
    """One stage equal up to brightness, one with orthogonal vectors at one of two places."""
    same = torch.tensor([[[[1.0, 2.0]], [[1.0, 2.0]]], [[[3.0, 4.0]], [[3.0, 4.0]]]])
    other = torch.tensor([[[[1.0, 1.0]], [[0.0, 0.0]]], [[[1.0, 0.0]], [[0.0, 1.0]]]])
    assert feature_distance([same]).tolist() == pytest.approx([0, 0], abs=1e-6)
    # |(1,0) - (0,1)|^2 = 2, at half of the places
    assert feature_distance([other]).tolist() == pytest.approx([0, 1])
    assert feature_distance([same, other]).tolist() == pytest.approx([0, 0.5], abs=1e-6)


def test_the_classifiers_crop() -> None:
    pixels = np.zeros((128, 256, 3), np.uint8)
    pixels[:, 128 - 64 + 8 : 128 + 64 - 8] = 255  # the middle 112 columns: 224 after doubling
    crop = classifier_crop(pixels)
    assert crop.shape == (224, 224, 3)
    assert crop[:, 4:-4].min() > 250


@pytest.mark.slow
def test_the_classifier_knows_imagenet() -> None:
    """Wrong preprocessing or a wrong order of classes shows here: top-1 of this network is about 75%."""
    if not (EVAL / "manifest.csv").exists():
        pytest.skip("the evaluation photographs are not here")
    with (EVAL / "manifest.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if wnid_of(row["label"])][:32]
    photos = [np.asarray(Image.open(EVAL / row["file"]).convert("RGB")) for row in rows]
    seen = Lite0()(photos)
    right = [wnid == wnid_of(row["label"]) for wnid, row in zip(seen.wnid_N, rows, strict=True)]
    assert np.mean(right) > 0.7
    assert seen.distance_N[0] == 0
    assert (seen.distance_N[1:] > 0.3).all()
