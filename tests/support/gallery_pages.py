"""The gallery's page in a test's browser: functions to open it, wait for it and draw on it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.review.server import ReviewServer
from pipeline.storage import Store

if TYPE_CHECKING:
    from playwright.sync_api import Page

WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 800}


def foreign(url: str) -> bool:
    return not url.startswith(("file:///", "http://127.0.0.1:", "data:", "blob:"))


def opened(page: Page, out: Store) -> Page:
    page.goto(Path(out.uri, "gallery/index.html").as_uri())
    page.wait_for_selector("body[data-ready]")
    return page


def until(page: Page, expression: str) -> None:
    """Wait until the expression is true. Playwright's own function evaluates text in the page, whose policy
    forbids that."""
    deadline = time.monotonic() + 10
    while not page.evaluate(f"Boolean({expression})"):
        assert time.monotonic() < deadline, expression
        page.wait_for_timeout(20)


def served(page: Page, server: ReviewServer) -> Page:
    """The page of a running server."""
    page.goto(server.address)
    page.wait_for_selector("body[data-ready]")
    return page


@contextmanager
def serving(server: ReviewServer) -> Iterator[ReviewServer]:
    """Run the server in a thread."""
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def open_picture(page: Page, key: str) -> None:
    """Open the image and wait until it can be drawn on."""
    page.locator(".card", has_text=key).locator("button").first.click()
    until(page, "edit.draft && view.after && view.after.getFullyLoaded()")


def draw(page: Page, *places: Sequence[float]) -> None:
    """Draw with the mouse along places of the image, in shares of its width and height."""
    box = page.evaluate(
        "(() => { const b = pictureBox(), r = sketch.getBoundingClientRect();"
        " return [r.left + b.x, r.top + b.y, b.width, b.height]; })()"
    )
    at = [(box[0] + x * box[2], box[1] + y * box[3]) for x, y in places]
    page.mouse.move(*at[0])
    page.mouse.down()
    for x, y in at[1:]:
        page.mouse.move(x, y, steps=6)
    page.mouse.up()
