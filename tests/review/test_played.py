"""What a person does in the served gallery, automated in a real browser with the real command."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fiat_color import colorize_image
from pipeline.config.job import JobConfig
from pipeline.config.loading import effective_yaml
from pipeline.config.storage import StorageConfig
from pipeline.ledger.keys import config_key, summary_key
from pipeline.review.cards import read_cards
from pipeline.review.decisions import read_decisions
from pipeline.storage import Store, open_store
from tests.support.gallery_pages import PHONE, WIDE, draw, open_picture, until
from tests.support.gallery_samples import photographs
from tests.support.paths import REPO

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.job, pytest.mark.server]

STREET, MAN = "detroit-1915.jpg", "woman-in-print.jpg"
#: Mean change of chroma in a rectangle between two pictures, ab units.
CHANGE = """([shown, x0, y0, x1, y1]) => {
  const picture = shown === "preview" ? edit.preview.picture : edit.image, before = window.before;
  const after = labPlanes(pixelsOf(picture, picture.width, picture.height)), { width, height } = before;
  let sum = 0, count = 0;
  for (let y = Math.floor(y0 * height); y < y1 * height; y++)
    for (let x = Math.floor(x0 * width); x < x1 * width; x++, count++) {
      const i = y * width + x;
      sum += 500 * Math.abs(after.x[i] - before.x[i]) + 200 * Math.abs(after.z[i] - before.z[i]);
    }
  return sum / count;
}"""
OWN = {"run": {"engine": "processes", "workers": 1}}  # one image needs no Ray
LEFT, RIGHT = (0.1, 0.48, 0.2, 0.52), (0.7, 0, 1, 1)


@pytest.fixture
def out(tmp_path: Path) -> Store:
    """As after a run with the default settings."""
    source, out = photographs(tmp_path, [STREET, MAN], colour=colorize_image)
    run_id = "20260101T000000Z-0000"
    out.put(config_key(run_id), effective_yaml(JobConfig.model_validate(OWN)).encode())
    out.put(summary_key(run_id), json.dumps({"job_digest": "digest", "input": source.uri}).encode())
    return out


@pytest.fixture
def address(out: Store, tmp_path: Path) -> Iterator[str]:
    """Of `fiat-color review --serve`."""
    command = ["-m", "fiat_color", "review", "--output", out.uri, "--input", str(tmp_path / "in"), "--serve"]
    process = subprocess.Popen(
        [sys.executable, *command, "--who", "Kim"],
        cwd=REPO,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if place := re.search(r"http://\S+token=\S+", line):
            yield place[0]
            break
    else:
        pytest.fail("".join(lines))
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0, process.stdout.read()


def eventually(page: Page, expression: str) -> None:
    """As `until`, for what waits for a network."""
    for _ in range(11):
        try:
            return until(page, expression)
        except AssertionError:
            continue
    pytest.fail(f"{expression}: {page.inner_text('#view-say')}")


def previewed(page: Page, number: int) -> None:
    """Wait for the so-manieth preview."""
    eventually(page, f"Number(document.body.dataset.previews || 0) >= {number}")


def test_look_draw_save_reject_and_apply(page: Page, address: str, out: Store) -> None:
    page.goto(address)
    page.wait_for_selector("body[data-ready]")
    page.select_option("#sort", "byMost")
    open_picture(page, STREET)
    page.evaluate("window.before = edit.own.planes, true")
    for number, size in enumerate((WIDE, PHONE)):
        drawn_and_undone(page, size, first=2 * number)
    page.evaluate("document.getElementById('slide').value = 80; cut()")
    assert page.evaluate("view.after.getClip().x") > 0
    page.click("#zoom-in")
    page.click("#fit")
    page.wait_for_timeout(500)  # the picture moves to its place
    draw(page, *LINE)
    previewed(page, 5)
    page.keyboard.press("s")
    until(page, "verdictOf(view.row) === 'correct'")
    page.keyboard.press("j")
    until(page, f"edit.draft && document.getElementById('view-title').textContent === '{MAN}'")
    page.keyboard.press("r")
    until(page, "verdictOf(view.row) === 'reject'")
    page.click("#apply-here")
    eventually(page, "table.status.includes('rejected')")
    assert "removed the results of 1 rejected image" in page.inner_text("#view-say")
    assert not out.exists(f"images/{MAN}")
    page.keyboard.press("k")
    until(page, f"edit.own && document.getElementById('view-title').textContent === '{STREET}'")
    assert page.evaluate(CHANGE, ["result", *LEFT]) > 8, "the corrected picture is shown"
    assert page.evaluate(CHANGE, ["result", *RIGHT]) < 2
    cards = {card["key"]: card for card in read_cards(out).to_pylist()}
    assert (cards[STREET]["status"], cards[MAN]["status"]) == ("colorized", "rejected")
    decisions = read_decisions(out)
    assert [(one.key, one.verdict, one.who) for one in decisions] == [
        (STREET, "correct", "Kim"),
        (MAN, "reject", "Kim"),
    ]
    assert decisions[0].correction is not None
    assert len(decisions[0].correction.strokes) == 1


LINE = ((0.1, 0.5), (0.2, 0.5))


def drawn_and_undone(page: Page, size: Any, first: int) -> None:
    """A stroke changes what it touches, and hardly anything else; taken back, nothing."""
    page.set_viewport_size(size)
    page.wait_for_timeout(300)
    page.keyboard.press("b")
    page.click('#palette [data-color="#a8242b"]')
    draw(page, *LINE)
    previewed(page, first + 1)
    assert page.evaluate(CHANGE, ["preview", *LEFT]) > 8
    assert page.evaluate(CHANGE, ["preview", *RIGHT]) < 2
    draw(page, (0.4, 0.8), (0.45, 0.8))
    previewed(page, first + 2)
    for _ in range(2):
        page.keyboard.press("z")
    until(page, "!edit.preview && edit.draft.strokes.length === 0")


def test_torch_is_loaded_where_the_gallery_is_served_and_nowhere_else(out: Store) -> None:
    program = (
        "import sys; from pipeline.commands.review import main; "
        f"print(main(['--output', {out.uri!r}]), *{{'torch', 'ray'}} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=REPO, capture_output=True, text=True)
    assert result.stdout.splitlines()[-1] == "0", result.stdout + result.stderr
    assert open_store(out.uri, StorageConfig()).exists("gallery/index.html")
