"""Corrections drawn in a real browser: by mouse, finger, pen and keys, on a wide screen and on a phone."""

from __future__ import annotations

import base64
import io
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from pipeline.color.metrics import ciede2000, to_lab
from pipeline.config.storage import StorageConfig
from pipeline.ledger.read import read_part
from pipeline.ledger.schema import LedgerRow
from pipeline.models.method_list import METHODS
from pipeline.records import GRAY, Status
from pipeline.review.cards import read_cards
from pipeline.review.decisions import Decision, read_decisions, read_file
from pipeline.review.gallery import page_files, write_gallery
from pipeline.review.server import ReviewServer
from pipeline.review.thumbnails import make_thumbnails
from pipeline.shard.compose import ComposeSettings, compose
from pipeline.storage import Store, open_store
from tests.support.gallery_pages import PHONE, WIDE, draw, open_picture, opened, served, serving, until
from tests.support.gallery_samples import photographs
from tests.support.ledger_parts import put_part
from tests.support.samples import encoded, photo

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

STREET, MAN = "detroit-1915.jpg", "woman-in-print.jpg"


@pytest.fixture
def out(tmp_path: Path) -> Store:
    source, out = photographs(tmp_path, [STREET, MAN])
    cards = read_cards(out)
    write_gallery(out, cards, make_thumbnails(source, out, cards, side=320, threads=2), [], side=320)
    return out


def server_of(out: Store, **callables: Any) -> ReviewServer:
    source = open_store(str(Path(out.uri).parent / "in"), StorageConfig())
    return ReviewServer(
        source, out, {card["key"]: card for card in read_cards(out).to_pylist()}, "Kim", **callables
    )


def downloaded(page: Page, folder: Path) -> Decision:
    """The one decision of the file that the page downloads."""
    page.keyboard.press("Escape")
    with page.expect_download() as download:
        page.click("#download")
    download.value.save_as(folder / "decisions.json")
    (decision,) = read_file(str(folder / "decisions.json"))
    return decision


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_what_is_drawn_is_what_is_saved(page: Page, out: Store, tmp_path: Path, size: Any) -> None:
    page.set_viewport_size(size)
    opened(page, out).fill("#who", "Kim")
    open_picture(page, STREET)
    page.keyboard.press("b")
    page.click('#palette [data-color="#2f6a4c"]')
    draw(page, (0.2, 0.6), (0.5, 0.6))
    draw(page, (0.7, 0.3), (0.9, 0.3))
    page.keyboard.press("z")
    page.keyboard.press("e")
    page.keyboard.press("]")
    draw(page, (0.3, 0.6))
    page.focus("#chroma-factor")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("s")
    until(page, "verdictOf(view.row) === 'correct'")
    assert page.evaluate("document.getElementById('view').scrollWidth") <= size["width"]
    assert "Kim" in page.locator("#facts").inner_text()
    decision = downloaded(page, tmp_path)
    assert (decision.key, decision.verdict, decision.who) == (STREET, "correct", "Kim")
    correction = decision.correction
    assert correction is not None
    assert (correction.chroma, correction.method, correction.reference) == (0.95, None, None)
    stroke, eraser = correction.strokes
    assert (stroke.color, stroke.radius, eraser.color, eraser.radius) == ("#2f6a4c", 0.02, None, 0.025)
    (x0, y0), (x1, y1) = stroke.path[0], stroke.path[-1]
    assert (x0, y0, x1, y1) == pytest.approx((0.2, 0.6, 0.5, 0.6), abs=0.01)
    assert eraser.path[0] == pytest.approx((0.3, 0.6), abs=0.01)


def test_fingers_draw_and_two_of_them_zoom(chromium: Browser, out: Store) -> None:
    context = chromium.new_context(viewport=PHONE, has_touch=True)  # type: ignore[arg-type]
    page = context.new_page()
    devices = context.new_cdp_session(page)

    def touch(kind: str, *fingers: tuple[float, float]) -> None:
        points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(fingers)]
        devices.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    opened(page, out)
    open_picture(page, STREET)
    page.click("#tool-brush")
    touch("touchStart", (150, 250))
    touch("touchMove", (200, 255))
    touch("touchEnd")
    until(page, "edit.draft.strokes.length === 1")
    before = page.evaluate("view.viewer.viewport.getZoom()")
    touch("touchStart", (150, 250))
    touch("touchStart", (150, 250), (200, 250))
    touch("touchMove", (130, 250), (240, 250))
    touch("touchEnd")
    until(page, f"view.viewer.viewport.getZoom() > 1.5 * {before}")
    assert page.evaluate("edit.draft.strokes.length") == 1, "two fingers draw nothing"
    pen = {"pointerType": "pen", "button": "left", "buttons": 1, "x": 150, "y": 230}
    devices.send("Input.dispatchMouseEvent", {**pen, "type": "mousePressed", "clickCount": 1})
    devices.send("Input.dispatchMouseEvent", {**pen, "type": "mouseMoved", "x": 220})
    devices.send("Input.dispatchMouseEvent", {**pen, "type": "mouseReleased", "x": 220, "buttons": 0})
    until(page, "edit.draft.strokes.length === 2")
    context.close()


def test_all_of_it_by_keyboard(page: Page, out: Store) -> None:
    with serving(server_of(out)) as server:
        served(page, server).focus(".card")
        page.keyboard.press("Enter")
        until(page, "edit.draft && view.after && view.after.getFullyLoaded()")
        for key in ("b", "ArrowUp", "Space", "Shift+ArrowRight", "ArrowRight", "Space", "ArrowDown"):
            page.keyboard.press(key)
        assert page.evaluate("edit.draft.strokes.map((stroke) => stroke.path.length)") == [3]
        page.keyboard.press("j")
        until(page, f"edit.draft && document.getElementById('view-title').textContent === '{MAN}'")
        assert page.evaluate("edit.draft.strokes.length") == 0
        page.keyboard.press("k")
        until(page, "edit.draft && edit.draft.strokes.length === 1")
        page.keyboard.press("s")
        until(page, "verdictOf(view.row) === 'correct'")
        page.reload()
        page.wait_for_selector('.card[data-verdict="correct"]')
        open_picture(page, STREET)
        assert page.evaluate("edit.draft.strokes[0].path.length") == 3, (
            "a saved correction can be gone on with"
        )
    (decision,) = read_decisions(out)
    assert decision.correction is not None
    (x0, y0), (x1, y1) = decision.correction.strokes[0].path[0], decision.correction.strokes[0].path[-1]
    assert (y0, x1 - x0, y1) == pytest.approx((0.5 - 0.01 * 320 / 177, 0.05, y0), abs=0.002)


def test_the_eyedropper_takes_the_colour_that_is_shown(page: Page, out: Store) -> None:
    with serving(server_of(out)) as server:
        served(page, server)
        open_picture(page, STREET)
        page.keyboard.press("i")
        draw(page, (0.1, 0.1))
        picked = page.evaluate("brush.color")
        assert page.evaluate("brush.tool") == "brush"
    with Image.open(io.BytesIO(out.get(f"images/{STREET}").data)) as image:
        wanted = image.getpixel((int(0.1 * image.width), int(0.1 * image.height)))
    assert list(bytes.fromhex(picked[1:])) == pytest.approx(wanted, abs=12)


def test_another_image_lends_its_colours(page: Page, out: Store) -> None:
    with serving(server_of(out)) as server:
        served(page, server)
        open_picture(page, STREET)
        page.select_option("#method-choice", "welsh")
        page.click("#save")
        until(page, "document.getElementById('view-say').textContent.includes('needs a picture')")
        page.fill("#reference", "WOMAN")
        page.click("#lenders button")
        page.click("#save")
        until(page, "verdictOf(view.row) === 'correct'")
    (decision,) = read_decisions(out)
    assert decision.correction is not None
    assert (decision.correction.method, decision.correction.reference) == ("welsh", MAN)


def test_an_earlier_result_lies_beside_the_last_one(page: Page, out: Store, tmp_path: Path) -> None:
    rows = read_part(out, "ledger/digest/part-one.parquet").to_pylist()
    (row,) = [row for row in rows if row["key"] == STREET]
    out.put("images/older.png", encoded(photo(), "PNG"))
    older = LedgerRow(**{**row, "status": Status.COLORIZED})
    older.output_key, older.finished_at = "images/older.png", older.finished_at - timedelta(days=9)
    put_part(out, "older", "one", [older])
    source = open_store(str(tmp_path / "in"), StorageConfig())
    cards = read_cards(out)
    write_gallery(out, cards, make_thumbnails(source, out, cards, side=64, threads=2), [], side=64)
    with serving(server_of(out)) as server:
        served(page, server)
        open_picture(page, STREET)
        page.select_option("#other", "images/older.png")
        until(page, "view.viewer.world.getItemCount() === 2 && view.after && view.after.getFullyLoaded()")
        assert "earlier=images%2Folder.png" in page.evaluate("view.viewer.world.getItemAt(0).source.url")
        page.check("#beside")
        until(page, "view.after.getBounds().x > 1")
        page.keyboard.press("b")
        draw(page, (0.5, 0.5))
        until(page, "edit.draft.strokes.length === 1")
        assert page.evaluate("edit.draft.strokes[0].path[0]") == pytest.approx([0.5, 0.5], abs=0.01)
        page.keyboard.press("j")
        until(page, f"edit.draft && document.getElementById('view-title').textContent === '{MAN}'")
        assert page.is_hidden("#other-label")


@pytest.mark.parametrize("factor", [0.4, 1.6])
@pytest.mark.parametrize("way", ["pixels", "filter"])
def test_more_and_less_colour_is_nearly_as_the_job_computes_it(
    page: Page, out: Store, factor: float, way: str
) -> None:
    """`pixels`: of a served page; `filter`: of one from a folder, whose pictures no program may read."""
    l_u16 = (photo(120, 160).astype(np.uint16) * 150) + 9000
    ab = np.random.default_rng(1).uniform(-35, 35, (2, 6, 8)).astype(np.float32)
    result, wanted = (compose(l_u16, ab, None, ComposeSettings(chroma)).rgb for chroma in (1.0, factor))
    opened(page, out)
    shown = page.evaluate(
        """async ([url, factor, way]) => {
          const image = await loaded(url), canvas = document.createElement("canvas");
          Object.assign(canvas, { width: image.width, height: image.height });
          const pen = canvas.getContext("2d");
          if (way === "pixels") {
            const planes = labPlanes(pixelsOf(image, image.width, image.height));
            pen.putImageData(withChroma(planes, factor), 0, 0);
          } else {
            document.getElementById("more").setAttribute("values", saturation(factor));
            pen.filter = "url(#chroma)";
            pen.drawImage(image, 0, 0);
          }
          return canvas.toDataURL("image/png");
        }""",
        ["data:image/png;base64," + base64.b64encode(encoded(result, "PNG")).decode(), factor, way],
    )
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(shown.partition(",")[2]))).convert("RGB"))
    difference = ciede2000(to_lab(pixels), to_lab(wanted))
    changed = ciede2000(to_lab(result), to_lab(wanted))
    print(f"\nCIEDE2000 {difference:.2f}, of the change {changed:.2f}")
    assert difference < (0.4 if way == "pixels" else 2.5)
    assert changed > 4


def test_doubt_is_shown_sorted_and_filtered(page: Page, out: Store) -> None:
    cards = read_cards(out)
    for name, values in {
        "doubt": [0.1, 0.93],
        "novelty": [0.5, None],
        "doubt_reasons": ["", "negative,nearly_gray"],
    }.items():
        if name in cards.column_names:
            cards = cards.drop_columns([name])
        cards = cards.append_column(name, pa.array(values))
    write_gallery(out, cards, make_thumbnails(None, out, cards, side=64, threads=2), [], side=64)
    opened(page, out)
    page.select_option("#sort", "byDoubt")
    assert page.locator(".card .key").all_inner_texts() == [MAN, STREET]
    doubted = page.locator(".card .doubted")
    words = "as doubtful as the worst tenth of photographs, looks like a negative, nearly gray"
    assert doubted.all_inner_texts() == [f"Look closely: {words}"], "of the one that is doubtful alone"
    assert "0.9 or more is the worst tenth" in str(doubted.get_attribute("title"))
    facts = (
        "[...document.querySelectorAll('#facts dt')].map((dt) => [dt.innerText, dt.nextSibling.innerText])"
    )
    for key, expected in (
        (MAN, {"Look closely": words, "Doubt": "0.93 (0 to 1; 0.9 or more is the worst tenth)"}),
        (STREET, {"Novelty": "0.50 (0 to 1; 0.99 or more is unlike the training photographs)"}),
    ):
        page.locator(".card", has_text=key).get_by_text("Open").click()
        shown = dict(page.evaluate(facts))
        assert expected.items() <= shown.items()
        assert ("Look closely" in shown) == (key == MAN)
        page.keyboard.press("Escape")
        page.wait_for_selector("#view", state="hidden")
    page.fill("#doubtful", "0.5")
    assert page.locator(".card .key").all_inner_texts() == [MAN]
    page.fill("#doubtful", "")
    page.select_option("#reason", "nearly_gray")
    assert page.locator(".card .key").all_inner_texts() == [MAN]


def test_the_page_offers_every_method_that_a_correction_can_name() -> None:
    text = dict(page_files())["palette.js"].decode()
    apart = {"onnx", GRAY}  # of a file of its own; a decision of its own
    given = {"scribbles", "reference"}
    offered = {
        name: min(method_class.needs, default="").replace("scribbles", "strokes")
        for name, method_class in METHODS.items()
        if method_class.needs <= given and name not in apart
    }
    for name, need in offered.items():
        assert f'{name}: "{need}"' in text
    assert text.count(': "') == len(offered)
