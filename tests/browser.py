"""Opens pages in a real browser, when the machine has one."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

SCREENS = ((1280, "light"), (1280, "dark"), (390, "light"))
"""Width in pixels and colour scheme: a desk by day, a desk by night, a phone."""


@dataclass
class Observations:
    """What the browser complained about and asked for while it showed a page."""

    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextmanager
def open_in_browser(path: Path) -> Iterator[tuple[Page, Observations]]:
    """Shows a local HTML file in headless Chromium; skips the test where there is none."""
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if executable is None:
        pytest.skip("no Chromium on this machine to open the page with")
    seen = Observations()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        try:
            page = browser.new_page()
            page.on("console", lambda message: seen.complaints.append(message.text))
            page.on("pageerror", lambda error: seen.complaints.append(str(error)))
            page.on("dialog", lambda dialog: seen.complaints.append(dialog.message))
            page.on("request", lambda request: seen.requests.append(request.url))
            page.goto(path.as_uri())
            yield page, seen
        finally:
            browser.close()


def assert_self_contained(path: Path) -> None:
    """Checks that a page opens without complaint or request, shows its photos and fits every screen."""
    with open_in_browser(path) as (page, seen):
        for width, scheme in SCREENS:
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme)
            page.reload()
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
        assert seen.complaints == []
        assert {url for url in seen.requests if not url.startswith("data:")} == {path.as_uri()}
