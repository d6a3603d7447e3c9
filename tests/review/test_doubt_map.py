"""The map of uncertain areas: from the run's files to a veil over the picture, in a real browser."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from playwright.sync_api import Page

from pipeline.config.storage import StorageConfig
from pipeline.ledger.doubt_maps import STEPS, DoubtMap, put_doubt_maps, read_doubt_maps
from pipeline.ledger.keys import doubt_maps_key, is_doubt_maps
from pipeline.ledger.schema import LedgerRow
from pipeline.review.cards import read_cards
from pipeline.review.gallery import write_gallery
from pipeline.review.server import ReviewServer
from pipeline.review.thumbnails import make_thumbnails
from pipeline.storage import Store, open_store
from tests.support.gallery_pages import opened, served, serving, until
from tests.support.gallery_samples import coloured, stores
from tests.support.job_runner import encoded, fill, ledger, photograph
from tests.support.ledger_parts import put_part

SURE, UNSURE = 0, 60 * STEPS  # no spread, and one of 60 Lab units


@pytest.fixture
def rows(tmp_path: Path) -> list[LedgerRow]:
    source, out = stores(tmp_path)
    rows = [coloured(source, out, f"{name}.jpg", number) for number, name in enumerate("abc")]
    for row in rows[:2]:
        row.doubt = 0.5
    put_part(out, "digest", "1", rows)
    # the right half of the upper row of a, all of c, whose row has no doubt
    maps = {"a.jpg": DoubtMap(2, 2, bytes([SURE, UNSURE, SURE, SURE])), "c.jpg": DoubtMap(1, 1, bytes([9]))}
    put_doubt_maps(out, "20260101T120000Z-0001", "1", rows, maps)
    return rows


@pytest.fixture
def out(tmp_path: Path, rows: list[LedgerRow]) -> Store:
    """A gallery of three, of which the first has a map."""
    source, out = (open_store(str(tmp_path / name), StorageConfig()) for name in ("in", "out"))
    _write(source, out)
    return out


def _write(source: Store | None, out: Store) -> None:
    cards = read_cards(out)
    pictures = make_thumbnails(source, out, cards, side=64, threads=2)
    write_gallery(out, cards, pictures, [], side=64, doubt_maps=read_doubt_maps(out))


def veil_at(page: Page, across: float, down: float) -> bool:
    """Whether the picture that is open is magenta at this place, 0 to 1 from its left and top."""
    box = page.locator("#canvas").bounding_box()
    assert box is not None
    place = page.evaluate(
        """([across, down]) => {
          const { viewport, world } = view.viewer, { height } = world.getItemAt(0).getBounds();
          const point = new OpenSeadragon.Point(across, down * height);
          const place = viewport.viewportToViewerElementCoordinates(point);
          return [place.x, place.y];
        }""",
        [across, down],
    )
    shot = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB")).astype(int)
    red, green, blue = shot[round(box["y"] + place[1]), round(box["x"] + place[0])]
    return bool(red - green > 80 and blue - green > 30)


def open_card(page: Page, key: str) -> None:
    page.locator(".card", has_text=key).get_by_text("Open").click()
    until(page, "view.after && view.after.getFullyLoaded()")


def test_a_veil_lies_where_the_network_was_unsure(page: Page, out: Store) -> None:
    opened(page, out)
    open_card(page, "a.jpg")
    assert not veil_at(page, 0.9, 0.2)
    button = page.locator("#doubt-map")
    assert (button.inner_text(), button.get_attribute("aria-pressed")) == ("Uncertain areas (d)", "false")
    page.keyboard.press("d")
    until(page, "doubtMaps.item && doubtMaps.item.getFullyLoaded()")
    page.wait_for_timeout(500)
    assert [veil_at(page, 0.9, 0.2), veil_at(page, 0.1, 0.2), veil_at(page, 0.9, 0.9)] == [True, False, False]
    assert button.get_attribute("aria-pressed") == "true"
    said = "The stronger the magenta, the less certain the network was of the colour in that place."
    assert page.inner_text("#doubt-note") == said
    assert page.get_attribute("#canvas", "aria-label") == f"a.jpg: {said}"
    page.check("#beside")
    assert page.evaluate("doubtMaps.item.getBounds().x") == page.evaluate("GAP")
    page.uncheck("#beside")
    button.click()
    until(page, "!doubtMaps.item && view.viewer.world.getItemCount() === 2")
    page.wait_for_timeout(500)
    assert not veil_at(page, 0.9, 0.2)
    assert page.get_attribute("#canvas", "aria-label") == "a.jpg"


def test_it_stays_on_for_the_next_picture_that_has_one(page: Page, out: Store) -> None:
    opened(page, out).select_option("#language", "ko")
    page.locator(".card", has_text="a.jpg").get_by_text("열기").click()
    page.click("#doubt-map")
    until(page, "doubtMaps.item")
    assert "자홍색" in page.inner_text("#doubt-note")
    for key in ("b.jpg", "c.jpg"):
        page.keyboard.press("j")
        until(page, f"document.getElementById('view-title').textContent === '{key}' && view.after")
        page.wait_for_selector("#doubt-map", state="hidden")
        page.keyboard.press("d")
        assert page.inner_text("#doubt-note") == ""
    page.keyboard.press("k")
    page.keyboard.press("k")
    until(page, "doubtMaps.item && doubtMaps.item.getFullyLoaded()")
    page.evaluate("document.getElementById('view').close()")


def test_the_server_gives_it_too(page: Page, out: Store, tmp_path: Path) -> None:
    source = open_store(str(tmp_path / "in"), StorageConfig())
    cards = {card["key"]: card for card in read_cards(out).to_pylist()}
    with serving(ReviewServer(source, out, cards, "Kim", 0)) as server:
        served(page, server)
        open_card(page, "a.jpg")
        page.keyboard.press("d")
        until(page, "doubtMaps.item && doubtMaps.item.getFullyLoaded()")
        page.evaluate("document.getElementById('view').close()")


def test_a_page_that_is_older_than_its_files_says_so(page: Page, out: Store) -> None:
    opened(page, out)
    out.put("gallery/data/doubt-00000.js", b'fiatDoubt(0, JSON.parse("{}"));')
    open_card(page, "a.jpg")
    page.keyboard.press("d")
    until(
        page,
        "document.getElementById('doubt-note').textContent.startsWith('The uncertain areas cannot be shown')",
    )
    page.evaluate("document.getElementById('view').close()")


def test_a_gallery_forgets_what_the_runs_have_no_more(out: Store) -> None:
    assert len(list(out.list("gallery/data/doubt-"))) == 1
    for info in list(out.list("runs/")):
        out.delete(info.key)
    _write(None, out)
    assert not list(out.list("gallery/data/doubt-"))


def test_maps_are_of_results_with_a_doubt_alone(out: Store, rows: list[LedgerRow]) -> None:
    (one,) = read_doubt_maps(out).to_pylist()
    places = bytes([SURE, UNSURE, SURE, SURE])
    assert one == {"output_sha256": rows[0].output_sha256, "width": 2, "height": 2, "places": places}
    put_doubt_maps(
        out, "20260102T120000Z-0001", "1", [replace(rows[0], doubt=None)], {"a.jpg": DoubtMap(1, 1, b"1")}
    )
    assert len([info for info in out.list("runs/") if is_doubt_maps(info.key)]) == 1


def test_damage_costs_the_maps_alone(out: Store, caplog: pytest.LogCaptureFixture) -> None:
    out.put(doubt_maps_key("20260102T120000Z-0001", "2"), b"PAR1 no maps PAR1")
    assert read_doubt_maps(out).num_rows == 1
    assert "is damaged, its maps are left out" in caplog.text


@pytest.mark.job
def test_a_run_keeps_them_with_its_doubt(
    tmp_path: Path, colorize: Callable[..., CompletedProcess[str]]
) -> None:
    """Beside the plan, of images without guides; none where doubt is switched off. No image changes."""
    points = '{"key": "2.png", "points": [[10, 10, "#ff0000"]]}\n'
    (tmp_path / "guides.jsonl").write_text(points)
    fill(str(tmp_path / "in"), {f"{i}.png": encoded(photograph(i, 320, 200), "PNG") for i in range(3)})
    given = ("--input", tmp_path / "in", "--guides", tmp_path / "guides.jsonl", "--set", "model.side=256")
    assert colorize(*given, "--output", tmp_path / "out").returncode == 0
    assert colorize(*given, "--output", tmp_path / "off", "--set", "report.doubt=false").returncode == 0
    rows = {row["key"]: row for row in ledger(str(tmp_path / "out"))}
    kept, none = (
        read_doubt_maps(open_store(str(tmp_path / name), StorageConfig())) for name in ("out", "off")
    )
    maps = {one["output_sha256"]: one for one in kept.to_pylist()}
    assert maps.keys() == {rows[key]["output_sha256"] for key in ("0.png", "1.png")}
    for one in maps.values():
        places = np.frombuffer(one["places"], np.uint8).reshape(one["height"], one["width"])
        assert places.shape == (10, 16)  # one for each 16 of 160 x 256
        assert 3 < places.mean() / STEPS < 60
        assert places.std() > 0
    assert none.num_rows == 0
    assert [row["output_sha256"] for row in ledger(str(tmp_path / "off"))] == [
        rows[key]["output_sha256"] for key in sorted(rows)
    ]
    files = [path for path in (tmp_path / "out/runs").rglob("*.parquet") if path.parent.name == "doubt"]
    assert all(pq.read_table(file).num_rows for file in files)
