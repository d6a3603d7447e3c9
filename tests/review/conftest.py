"""A real browser for the tests of the gallery: Debian's Chromium through Playwright, started once."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.support.gallery_pages import WIDE, foreign
from tests.support.servers import in_ci

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """Skipped only where Chromium is not installed and this is not CI."""
    if CHROMIUM is None:
        missing = "no Chromium: apt-get install chromium"
        pytest.fail(missing) if in_ci() else pytest.skip(missing)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page that lets no error and no request to another place pass."""
    page = chromium.new_page(viewport=WIDE, locale="en-GB")  # type: ignore[arg-type]
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
    page.on("request", lambda request: problems.append(request.url) if foreign(request.url) else None)
    page.on("dialog", lambda dialog: problems.append(dialog.message))
    yield page
    page.close()
    assert problems == []
