"""A real browser: Debian's Chromium through Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.support.needs import require
from tests.support.servers import in_ci

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@contextmanager
def started() -> Iterator[Browser]:
    """Chromium, until the block ends; skips the test only if it is not installed and this is not CI."""
    require("server")
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next((path for name in names if (path := shutil.which(name))), None)
    if program is None:
        missing = "no Chromium: apt-get install chromium"
        pytest.fail(missing) if in_ci() else pytest.skip(missing)
    from playwright.sync_api import sync_playwright  # a second, for tests that start no browser

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()
