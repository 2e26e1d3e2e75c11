"""The page at /, in a real headless browser against the real server."""

import base64
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.browser import unreadable
from tests.tiny_model import photo

DROP = """([data, name]) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type: 'image/jpeg' }));
  document.querySelector('#drop').dispatchEvent(new DragEvent('drop', { dataTransfer: transfer, bubbles: true }));
}"""


def files(folder: Path, *counts: float) -> list[str]:
    for position, count in enumerate(counts):
        (folder / f"bin-{position}.jpg").write_bytes(photo(count))
    return sorted(str(file) for file in folder.iterdir())


def test_photos_are_counted_and_compared_with_the_stock_record(page, tmp_path):
    page.get_by_label("Expected quantity").fill("3")
    page.get_by_label("Choose photos").set_input_files(files(tmp_path, 3, 5, 1))
    cards = page.locator(".bin")
    expect(cards).to_have_count(3)
    expect(cards.nth(0).locator(".count")).to_have_text("3 items")
    expect(cards.nth(0).locator(".verdict")).to_contain_text("Agrees")
    expect(cards.nth(1).locator(".verdict")).to_contain_text("Recount")
    expect(cards.nth(2).locator(".count")).to_have_text("1 item")
    expect(page.locator("#summary")).to_have_text("3 photos · 2 to recount · 1 as expected")
    meter = cards.nth(0).get_by_role("meter", name="Confidence")
    assert int(meter.get_attribute("aria-valuenow")) > 90
    cards.nth(0).get_by_text("All probabilities").click()
    rows = cards.nth(0).get_by_role("table").get_by_role("row")
    expect(rows.filter(has_text=re.compile(r"^\s*3"))).to_contain_text(re.compile(r"9\d\s%"))


def test_photos_are_hashed_one_after_the_other_and_a_file_that_is_gone_stops_none(page, tmp_path):
    page.evaluate("""() => {
      const whole = Blob.prototype.arrayBuffer;
      [window.reading, window.most] = [0, 0];
      Blob.prototype.arrayBuffer = async function () {
        window.most = Math.max(window.most, ++window.reading);
        try {
          if (this.name === "bin-1.jpg") throw new DOMException("it is gone", "NotFoundError");
          return await whole.call(this);
        } finally {
          window.reading -= 1;
        }
      };
    }""")
    page.get_by_label("Choose photos").set_input_files(files(tmp_path, 3, 5, 1, 2, 4))
    rows = "[...document.querySelectorAll('.bin')].map(({ dataset }) => JSON.parse(dataset.row))"
    page.wait_for_function(f"() => {rows}.filter((row) => row.photo_sha256).length === 4")
    named = {row["id"]: row["photo_sha256"] != "" for row in page.evaluate(f"() => {rows}")}
    assert named == {f"bin-{place}": place != 1 for place in range(5)}
    assert page.evaluate("() => window.most") == 1


def test_the_page_breaks_no_rule_of_axe_before_and_after_photos(page, tmp_path):
    assert unreadable(page) == []
    page.get_by_label("Expected quantity").fill("3")
    page.get_by_label("Choose photos").set_input_files(files(tmp_path, 3, 5, 1))
    expect(page.locator("#summary")).to_have_text("3 photos · 2 to recount · 1 as expected")
    assert unreadable(page) == []


def test_the_record_beside_a_photo_can_be_corrected(page, tmp_path):
    page.get_by_label("Choose photos").set_input_files(files(tmp_path, 2))
    card = page.locator(".bin")
    expect(card.locator(".count")).to_have_text("2 items")
    expect(card.locator(".verdict")).to_be_hidden()
    for typed, verdict in (("2", "Agrees"), ("5", "Recount"), ("40", "Not countable")):
        card.get_by_label("Expected quantity").fill(typed)
        card.get_by_label("Expected quantity").press("Enter")
        expect(card.locator(".verdict strong")).to_have_text(verdict)


def test_what_is_no_photo_says_so_on_its_card_and_spoils_nothing(page, tmp_path):
    (tmp_path / "notes.jpg").write_bytes(b"buy milk")
    page.get_by_label("Choose photos").set_input_files(files(tmp_path, 4))
    expect(page.locator(".bin", has_text="bin-0.jpg").locator(".count")).to_have_text("4 items")
    expect(page.locator(".bin", has_text="notes.jpg").locator(".problem")).to_contain_text("Not a readable JPEG")


def test_it_says_how_probable_the_record_is_when_the_photo_looks_like_another(page, tmp_path):
    page.get_by_label("Choose photos").set_input_files(files(tmp_path, 2.4))
    card = page.locator(".bin")
    for typed, said in (("2", "looks like the expected 2"), ("3", "expected 3 is possible (30\u00a0%)")):
        card.get_by_label("Expected quantity").fill(typed)
        card.get_by_label("Expected quantity").press("Enter")
        expect(card.locator(".verdict")).to_contain_text(said)


def test_a_photo_that_shows_nothing_is_to_be_taken_again(page, tmp_path):
    Image.new("RGB", (120, 90)).save(tmp_path / "dark.png")
    page.get_by_label("Expected quantity").fill("1")
    page.get_by_label("Choose photos").set_input_files(str(tmp_path / "dark.png"))
    expect(page.locator(".bin .problem")).to_contain_text("Unusable photo (black): take it again")
    expect(page.locator(".bin .verdict")).to_be_hidden()


def test_a_photo_can_be_dropped(page):
    page.evaluate(DROP, [base64.b64encode(photo(5)).decode(), "dropped.jpg"])
    expect(page.locator(".bin", has_text="dropped.jpg").locator(".count")).to_have_text("5 items")


def test_everything_is_reached_by_keyboard(page, tmp_path):
    page.get_by_label("Choose photos").set_input_files(files(tmp_path, 2, 3))
    expect(page.locator(".count").nth(1)).to_have_text("3 items")
    page.locator("body").focus()
    reached = []
    for _ in range(10):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "document.activeElement.ariaLabel || document.activeElement.closest('label, button, "
                "summary')?.textContent.trim().split(/\\s{2,}/)[0]"
            )
        )
    assert [text.split("\n")[0] for text in reached[:8]] == [
        "Choose photos or drop them here",
        "Choose a stock list",
        "or one expected quantity (optional)",
        "Start anew",
        "Photo of bin-0.jpg",
        "Remove bin-0.jpg",
        "Expected quantity",
        "All probabilities",
    ]
    page.get_by_role("button", name="Remove bin-0.jpg").press("Enter")
    expect(page.locator(".bin")).to_have_count(1)
    assert page.evaluate("document.activeElement.id") == "results-title"
    page.get_by_role("button", name="Start anew").press("Enter")
    expect(page.locator("#results")).to_be_hidden()


def test_a_screen_reader_hears_the_result(page, tmp_path):
    page.get_by_label("Expected quantity").fill("4")
    page.get_by_label("Choose photos").set_input_files(files(tmp_path, 4))
    expect(page.get_by_role("status")).to_contain_text(re.compile(r"bin-0.jpg: 4 items, 9\d\s% sure, agrees\."))
    expect(page.get_by_role("listitem").get_by_role("heading", name="bin-0.jpg")).to_be_visible()


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_it_fits_every_screen(page, tmp_path, width):
    page.set_viewport_size({"width": width, "height": 800})
    page.get_by_label("Expected quantity").fill("1")
    page.get_by_label("Choose photos").set_input_files(files(tmp_path, 3, 2))
    expect(page.locator(".verdict").nth(1)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_its_policy_allows_nothing_from_elsewhere(server, http):
    response = http.get(server.url + "/", headers={"accept": "text/html"})
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert response.headers["x-content-type-options"] == "nosniff"
    assert all(asset.startswith("data:") for asset in re.findall(r'(?:src|href)="([^"]+)"', response.text))


@contextmanager
def under_a_path(url: str, path: str) -> Iterator[str]:
    """A gateway that serves what is at ``url`` under a path."""

    class Gateway(BaseHTTPRequestHandler):
        def do_GET(self):
            self.hand_on("GET", b"")

        def do_POST(self):
            self.hand_on("POST", self.rfile.read(int(self.headers["content-length"])))

        def hand_on(self, method: str, body: bytes):
            inside = self.path.startswith(path)
            headers = {name: self.headers[name] for name in ("accept", "content-type") if name in self.headers}
            target = url + "/" + self.path.removeprefix(path).lstrip("/")
            answer = httpx.request(method, target, content=body, headers=headers) if inside else httpx.Response(404)
            self.send_response(answer.status_code)
            for name in ("content-type", "content-security-policy"):
                if name in answer.headers:
                    self.send_header(name, answer.headers[name])
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, *_):
            return

    gateway = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    thread = threading.Thread(target=gateway.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{gateway.server_port}"
    finally:
        gateway.shutdown()
        gateway.server_close()
        thread.join()


@pytest.mark.parametrize("address", ["/bins", "/bins/"])
def test_it_works_under_a_path_with_and_without_a_slash(browser, server, tmp_path, address):
    with under_a_path(server.url, "/bins") as url:
        page = browser.new_page()
        page.set_default_timeout(20_000)
        page.goto(url + address)
        page.get_by_label("Choose photos").set_input_files(files(tmp_path, 4))
        expect(page.locator(".count")).to_have_text("4 items")
        assert page.evaluate("getComputedStyle(document.querySelector('#drop')).borderStyle") == "dashed"
        page.close()
