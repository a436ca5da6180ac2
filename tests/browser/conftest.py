"""A headless Chromium to show pages in; where there is none, tests skip and say so."""

import os
import shutil

import pytest

from tests.browser.shown import Shown

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@pytest.fixture(scope="session")
def chromium():
    """The browser that MMSPEC_CHROMIUM names, or one on the PATH; playwright's own is not downloaded."""
    playwright = pytest.importorskip("playwright.sync_api", reason="the extra browser is not installed")
    pytest.importorskip("axe_playwright_python", reason="the extra browser is not installed")
    program = os.environ.get("MMSPEC_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("no Chromium is on the PATH: name one by MMSPEC_CHROMIUM")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program)
        yield browser
        browser.close()


@pytest.fixture
def show(chromium):
    """Show an address in a window of its own."""
    contexts = []

    def open_window(address, width=1400, scheme="light"):
        contexts.append(chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme))
        return Shown(contexts[-1].new_page(), address)

    yield open_window
    for context in contexts:
        context.close()
