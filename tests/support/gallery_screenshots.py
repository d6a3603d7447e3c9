"""Makes the screenshots of docs/review.md from the real gallery in a real browser.

python -m tests.support.gallery_screenshots

One real job colours `tests/photos`; `fiat-color review --serve` shows them in Chromium, and this program
clicks, types and draws like a person. It writes the pictures to `docs/review`. It takes a minute.
"""

from __future__ import annotations

import io
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from tests.support.browser import started
from tests.support.gallery_pages import draw, open_picture, until
from tests.support.paths import REPO

if TYPE_CHECKING:
    from playwright.sync_api import Page

SHOTS = REPO / "docs" / "review"
STREET = "detroit-1915.jpg"
QUALITY = 85
#: Strokes on the street: a colour's name in the palette, and places in shares of width and height.
STROKES: tuple[tuple[str, tuple[tuple[float, float], ...]], ...] = (
    ("brick", ((0.05, 0.32), (0.2, 0.32))),
    ("brick", ((0.06, 0.5), (0.2, 0.5))),
    ("grass", ((0.53, 0.72), (0.6, 0.72))),
    ("green enamel", ((0.67, 0.87), (0.74, 0.9))),
    ("green enamel", ((0.81, 0.95), (0.93, 0.97))),
    ("green enamel", ((0.71, 0.77), (0.82, 0.77))),
)


@contextmanager
def gallery(folder: Path) -> Iterator[str]:
    """Colour the samples and serve the gallery of this run; yields its address."""
    photos, out = str(REPO / "tests" / "photos"), str(folder / "out")
    job = [sys.executable, "-m", "fiat_color"]
    subprocess.run(
        [*job, "colorize", photos, out, "--config", "demo"],
        cwd=REPO, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    process = subprocess.Popen(
        [*job, "review", out, "--input", photos, "--serve", "--who", "Kim"],
        cwd=REPO, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if place := re.search(r"http://\S+token=\S+", line):
            break
    else:
        raise SystemExit("the gallery was not served")
    try:
        yield place[0]
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def shoot(page: Page, name: str) -> None:
    """Save what the window shows as docs/review/NAME.jpg."""
    with Image.open(io.BytesIO(page.screenshot())) as picture:
        picture.convert("RGB").save(SHOTS / f"{name}.jpg", quality=QUALITY, optimize=True)
    print(SHOTS / f"{name}.jpg", flush=True)


def entered(page: Page, address: str) -> None:
    """Open the gallery and wait until the whole first screen is loaded."""
    page.goto(address)
    page.wait_for_selector("body[data-ready]")
    page.wait_for_timeout(1500)


def strokes(page: Page) -> None:
    """Draw `STROKES`, and wait for their result."""
    for name, places in STROKES:
        page.locator(f'#palette [title*="{name}" i]').first.click()
        page.keyboard.press("b")
        draw(page, *places)
    page.keyboard.press("v")
    for _ in range(6):  # a preview takes seconds on a slow machine
        page.wait_for_timeout(5000)
        if "Preview" in page.inner_text("#view-say"):
            break


def main() -> None:
    """Write all pictures."""
    with tempfile.TemporaryDirectory() as folder, gallery(Path(folder)) as address, started() as browser:
        page = browser.new_page(viewport={"width": 1200, "height": 760})
        entered(page, address)
        for key in ("a", "ArrowRight", "r", "ArrowRight", "ArrowRight", "g", "ArrowRight"):
            page.keyboard.press(key)
            page.wait_for_timeout(300)
        page.evaluate("scrollTo(0, 0)")
        page.wait_for_timeout(500)
        shoot(page, "gallery")
        page.set_viewport_size({"width": 1280, "height": 800})
        page.select_option("#sort", "byDoubt")
        page.locator(".card button").first.click()
        until(page, "edit.draft && view.after && view.after.getFullyLoaded()")
        page.wait_for_timeout(1500)
        shoot(page, "view")
        page.keyboard.press("Escape")
        open_picture(page, STREET)
        page.evaluate("document.getElementById('slide').value = 0; cut()")
        page.evaluate(
            "tool('strokes-shown').value = 40, tool('strokes-shown').dispatchEvent(new Event('input'))"
        )
        strokes(page)
        shoot(page, "correct")
        page.set_viewport_size({"width": 390, "height": 844})
        page.wait_for_timeout(1500)
        shoot(page, "correct-phone")
        page.keyboard.press("Escape")
        page.evaluate("scrollTo(0, 0)")
        page.wait_for_timeout(1000)
        shoot(page, "phone")


if __name__ == "__main__":
    main()
