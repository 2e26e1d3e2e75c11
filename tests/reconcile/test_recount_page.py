"""The page that `inventory reconcile` writes, worked through in a real browser."""

import csv
import io
from pathlib import Path

import pytest

from components.client.endpoint import Endpoint
from components.reconcile.feedback import labels_from_recounts
from components.reconcile.photos import open_photos
from components.reconcile.records import open_records
from components.reconcile.settings import ReconcileSettings
from components.reconcile.step import reconcile
from tests.browser import open_in_browser
from tests.tiny_model import photo

HOSTILE = '"><img src=x onerror=alert(1)>'


@pytest.fixture
def warehouse(tmp_path: Path, server) -> Path:
    """Eight bins, two of them wrong, reconciled."""
    (tmp_path / "photos").mkdir()
    for number in range(8):
        (tmp_path / "photos" / f"{number:03d}.jpg").write_bytes(photo(number % 4 + 1, size=(900, 600)))
    rows = [(f"{number:03d}", {2: 5, 5: 4}.get(number, number % 4 + 1), HOSTILE) for number in range(8)]
    with (tmp_path / "stock.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("id", "expected", "products"), *rows])
    records = open_records(tmp_path / "stock.csv", str(tmp_path / "photos"))
    photos, endpoint = open_photos(str(tmp_path / "photos")), Endpoint(server.url, server.name)
    reconcile(records, photos, endpoint, tmp_path, ReconcileSettings(top=7))
    return tmp_path


def test_counts_are_entered_kept_and_become_labels(warehouse):
    with open_in_browser(warehouse / "recount.html") as (page, seen):
        boxes = page.get_by_role("textbox")
        boxes.first.fill("3")
        boxes.first.press("Enter")
        page.keyboard.type("2")
        page.reload()
        assert page.locator("#progress").text_content() == "2 of 7 counted"
        assert [box.input_value() for box in boxes.all()[:3]] == ["3", "2", ""]
        assert page.locator(".mark:visible").count() == 2
        with page.expect_download() as download:
            page.get_by_role("button", name="Save counts (CSV)").click()
        text = download.value.path().read_text("utf-8-sig")
        path = warehouse / "counts.csv"
        path.write_bytes(download.value.path().read_bytes())
        assert seen.complaints == []
    rows = list(csv.DictReader(io.StringIO(text)))
    with (warehouse / "recount.csv").open(newline="") as file:
        assert rows == [
            {**row, "counted": mine["counted"]} for row, mine in zip(csv.DictReader(file), rows, strict=False)
        ]
    labels = labels_from_recounts(path, open_photos(str(warehouse / "photos")), warehouse / "labels")
    assert (labels.labels, labels.wrong) == (2, 2)


def test_another_list_does_not_show_the_counts_of_this_one_and_start_anew_forgets_them(warehouse):
    other = warehouse / "other.html"
    text = (warehouse / "recount.html").read_text()
    key = text.partition('data-key="')[2].partition('"')[0]
    other.write_text(text.replace(key, "0" * 16))
    with open_in_browser(warehouse / "recount.html") as (page, _):
        page.get_by_role("textbox").first.fill("3")
        page.goto(other.as_uri())
        assert page.get_by_role("textbox").first.input_value() == ""
        page.goto((warehouse / "recount.html").as_uri())
        assert page.get_by_role("textbox").first.input_value() == "3"
        page.evaluate("window.confirm = () => true")
        page.get_by_role("button", name="Start anew").click()
        page.reload()
        assert page.get_by_role("textbox").first.input_value() == ""


def test_the_list_is_filtered_ordered_and_seen_in_full(warehouse):
    with open_in_browser(warehouse / "recount.html") as (page, seen):
        names = page.locator(".picture:visible .title .name")
        page.get_by_label("Show").select_option("recount")
        assert {name.partition(". ")[2] for name in names.all_text_contents()} == {"002", "005"}
        page.get_by_label("Show").select_option("")
        page.get_by_label("Order").select_option("by bin")
        ids = [name.partition(". ")[2] for name in names.all_text_contents()]
        assert ids == sorted(ids)
        page.get_by_role("button", name=f"Photo of {ids[0]}").click()
        viewer = page.get_by_role("dialog", name="Photo")
        assert viewer.locator("img").evaluate("image => image.naturalWidth") == 640
        viewer.get_by_role("button", name="Close").click()
        assert viewer.is_hidden()
        assert seen.complaints == []


def test_bins_that_are_not_ranked_have_a_box_for_what_was_counted_too(tmp_path, server):
    (tmp_path / "photos").mkdir()
    for id_ in ("a", "b", "c"):
        (tmp_path / "photos" / f"{id_}.jpg").write_bytes(photo(2))
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"no photo")
    (tmp_path / "stock.csv").write_text("id,expected\na,2\nb,40\nc,2\nbroken,3\ngone,1\n")
    records = open_records(tmp_path / "stock.csv", str(tmp_path / "photos"))
    photos, endpoint = open_photos(str(tmp_path / "photos")), Endpoint(server.url, server.name)
    reconcile(records, photos, endpoint, tmp_path, ReconcileSettings())
    with open_in_browser(tmp_path / "recount.html") as (page, seen):
        names = page.locator(".picture .title .name").all_text_contents()
        assert [name.partition(". ")[2] or name for name in names[2:]] == ["b", "broken", "gone"]
        page.get_by_label("Counted b", exact=True).fill("41")
        page.get_by_label("Counted gone").fill("0")
        page.reload()
        assert page.locator("#progress").text_content() == "2 of 5 counted"
        page.get_by_label("Show").select_option("not checked")
        assert page.locator(".picture:visible").count() == 2
        with page.expect_download() as download:
            page.get_by_role("button", name="Save counts (CSV)").click()
        path = tmp_path / "counts.csv"
        path.write_bytes(download.value.path().read_bytes())
        assert seen.complaints == []
    rows = {row["id"]: (row["counted"], row["note"][:13]) for row in csv.DictReader(path.open(encoding="utf-8-sig"))}
    assert rows["b"] == ("41", "not countable")
    assert rows["gone"] == ("0", "not checked: ")
    labels = labels_from_recounts(path, photos, tmp_path / "labels")
    assert (labels.labels, labels.wrong) == (1, 1)


def test_on_paper_there_is_room_to_write(warehouse):
    with open_in_browser(warehouse / "recount.html") as (page, _):
        page.emulate_media(media="print")
        assert page.get_by_role("button", name="Save counts (CSV)").is_hidden()
        room = page.get_by_role("textbox").first.bounding_box()
        assert room["width"] >= 75
        assert room["height"] >= 35


def test_its_policy_allows_its_own_script_alone(warehouse):
    html = (warehouse / "recount.html").read_text()
    policy = html.partition('http-equiv="Content-Security-Policy" content="')[2].partition('"')[0]
    assert "script-src 'sha256-" in policy
    assert html.count("<script") == 1
    assert HOSTILE not in html
