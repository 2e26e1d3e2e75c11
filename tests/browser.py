"""Opens pages in a real browser, when the machine has one."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

SCREENS = ((1280, "light"), (1280, "dark"), (390, "light"), (390, "dark"))
"""Width in pixels and colour scheme: a desk and a phone, by day and by night."""


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


SETTLED = """async () => {
  await new Promise((shown) => requestAnimationFrame(() => requestAnimationFrame(shown)));
  await Promise.race([
    Promise.all(document.getAnimations().map((one) => one.finished)),
    new Promise((late) => setTimeout(late, 2000)),
  ]);
}"""
"""Waits until colours have faded into those of another scheme."""
AXE = find_spec("axe_playwright_python")


def unreadable(page: Page) -> list[str]:
    """What of an open page some people cannot read or reach, by the rules of axe-core, on every screen."""
    if AXE is None:
        pytest.skip("axe-core is not installed here: make setup")
    rules, found = (Path(str(AXE.origin)).parent / "axe.min.js").read_text(), []
    for width, scheme in SCREENS:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        page.evaluate(SETTLED)
        page.evaluate(rules)
        broken = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
        found += [f"{width} {scheme} {rule['id']}: {rule['nodes'][0]['html'][:200]}" for rule in broken]
    return found


def assert_self_contained(path: Path) -> None:
    """Checks that a page opens without complaint or request, shows its photos and fits every screen.

    Where axe-core is installed, as by `make setup`, no rule of it is broken either.
    """
    with open_in_browser(path) as (page, seen):
        for width, scheme in SCREENS:
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme)
            page.reload()
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
        assert seen.complaints == []
        assert {url for url in seen.requests if not url.startswith("data:")} == {path.as_uri()}
        assert AXE is None or unreadable(page) == []
