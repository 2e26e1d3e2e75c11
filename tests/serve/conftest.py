"""A headless browser, and the server's page opened in it."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

REFUSALS = ("400 (Bad Request)", "413 (Payload Too Large)")
"""What the browser itself logs when a photo is refused, which a test may provoke."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, server) -> Iterator[Page]:
    """An open page; whatever it logs, fails to load or fetches from elsewhere fails the test."""
    page = browser.new_page()
    page.set_default_timeout(20_000)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type in ("error", "warning") else None)
    page.on(
        "request", lambda asked: None if asked.url.startswith((server.url, "blob:")) else problems.append(asked.url)
    )
    page.goto(server.url + "/")
    yield page
    assert [text for text in problems if not any(status in text for status in REFUSALS)] == []
    page.close()
