"""The whole job of the page at /: photos and a stock list become counts that `inventory feedback` takes."""

import csv
import io
import re
from hashlib import sha256
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from components.reconcile.feedback import labels_from_recounts
from components.reconcile.photos import open_photos
from tests.tiny_model import photo

WRONG = {"A-01-03": 1, "A-01-10": 3}
"""Records that name another count than the photo shows."""
STOCK = "the stock list.csv"


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    """Twelve photos, and a list of fourteen rows: two wrong, one that is no quantity, one without a photo, a total."""
    (tmp_path / "photos").mkdir()
    lines = ["Lagerplatz;Bestand;Artikel"]
    for number in range(12):
        id_, count = f"A-01-{number:02d}", number % 5 + 1
        (tmp_path / "photos" / f"{id_}.jpg").write_bytes(photo(count, size=(320, 240)))
        lines.append(f"{id_};{WRONG.get(id_, count)};=cups, {number}")
    lines[6] = "A-01-05;viele;tape"
    lines += ["A-01-40;3;not there", "Summe;42;"]
    (tmp_path / STOCK).write_text("\n".join(lines))
    return tmp_path


def everything(warehouse: Path) -> list[str]:
    return [str(warehouse / STOCK), *sorted(map(str, (warehouse / "photos").iterdir()))]


def bring(page: Page, files: list[str]) -> None:
    """Chooses files as a drop brings them: photos and list together."""
    page.get_by_label("Choose photos").set_input_files(files)
    expect(page.locator("#wrong")).to_have_text("About 2 of 11 records are wrong (2 to 3 with 95\u00a0% confidence).")


def order(page: Page) -> list[str]:
    return page.locator(".bin:visible h3").all_text_contents()


def exported(page: Page) -> tuple[Path, list[dict[str, str]]]:
    with page.expect_download() as download:
        page.get_by_role("button", name="Save counts (CSV)").click()
    path = download.value.path()
    return path, list(csv.DictReader(io.StringIO(path.read_text("utf-8-sig"))))


def box(page: Page, bin_: str):
    return page.get_by_label(f"Counted {bin_}", exact=True)


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")], ids=["desk", "phone"])
def test_the_whole_job(page, warehouse, width, scheme):
    page.set_viewport_size({"width": width, "height": 844})
    page.emulate_media(color_scheme=scheme)
    bring(page, everything(warehouse))
    assert set(order(page)[:2]) == set(WRONG)
    assert len(order(page)) == 12
    first = page.locator(".bin").first
    expect(first.locator(".rank")).to_have_text("1.")
    expect(first.locator(".doubt")).to_contain_text("likely wrong")
    expect(page.locator(".bin", has_text="A-01-05")).to_contain_text("'viele' is not a quantity")
    assert page.evaluate("document.documentElement.scrollWidth") <= width

    box(page, "A-01-03").fill("4")
    box(page, "A-01-10").fill("1")
    expect(page.locator("#progress")).to_have_text("2 of 12 counted")
    expect(page.locator(".mark:visible")).to_have_count(2)
    before = order(page)
    page.reload()
    expect(page.locator("#wrong")).to_contain_text("About 2 of 11")
    expect(box(page, "A-01-03")).to_have_value("4")
    expect(page.locator("#progress")).to_have_text("2 of 12 counted")
    assert order(page) == before

    path, rows = exported(page)
    assert [row["rank"] for row in rows] == [*map(str, range(1, 12)), "", ""]
    assert {row["id"]: row["counted"] for row in rows if row["counted"]} == {"A-01-03": "4", "A-01-10": "1"}
    assert rows[0]["products"].startswith("'=cups, ")
    assert [row["note"] for row in rows[11:]] == ["not checked: 'viele' is not a quantity", "not checked: no photo"]
    photo_of = {row["id"]: row["photo_sha256"] for row in rows}
    assert photo_of["A-01-03"] == sha256((warehouse / "photos" / "A-01-03.jpg").read_bytes()).hexdigest()
    assert photo_of["A-01-40"] == ""
    labels = labels_from_recounts(path, open_photos(str(warehouse / "photos")), warehouse / "labels")
    assert (labels.labels, labels.wrong) == (2, 2)

    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Start anew").click()
    expect(page.locator("#results")).to_be_hidden()
    page.reload()
    expect(page.locator(".bin")).to_have_count(0)
    expect(page.locator("#stock-name")).to_contain_text("CSV or XLSX")


def test_a_count_is_not_forgotten_by_mistake(page, warehouse):
    bring(page, everything(warehouse))
    box(page, "A-01-03").fill("4")
    asked = []
    page.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    page.get_by_role("button", name="Start anew").click()
    assert asked == ["Forget the count that you entered?"]
    expect(box(page, "A-01-03")).to_have_value("4")


def test_the_list_can_be_filtered_and_ordered(page, warehouse):
    bring(page, everything(warehouse))
    page.get_by_label("Show").select_option("recount")
    assert set(order(page)) == set(WRONG)
    page.get_by_label("Show").select_option("")
    page.get_by_label("Order").select_option("by bin")
    assert order(page) == [f"A-01-{number:02d}" for number in range(12)]
    box(page, "A-01-07").fill("3")
    page.get_by_label("Show").select_option("counted")
    assert order(page) == ["A-01-07"]
    page.get_by_label("Show").select_option("not counted yet")
    assert len(order(page)) == 11


def test_the_whole_job_by_keyboard(page, warehouse):
    stock_list, *photos = everything(warehouse)
    choices = [photos, [stock_list]]
    page.on("filechooser", lambda chooser: chooser.set_files(choices.pop(0)))
    page.locator("body").focus()
    for shown in (".bin .count", "#wrong"):
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator(shown).last).to_be_visible()
    assert choices == []

    def tab_to(wanted: str) -> None:
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate("(selector) => document.activeElement.matches(selector)", wanted):
                return
        raise AssertionError(f"{wanted} is not reached")

    tab_to(".photo")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Photo")).to_contain_text(" · record ")
    shown = page.locator("#viewer p").text_content()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#viewer p")).not_to_have_text(shown)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Photo")).to_be_hidden()
    assert page.evaluate("document.activeElement.className") == "photo"

    tab_to(".counted input")
    page.keyboard.type("4")
    page.keyboard.press("Enter")
    page.keyboard.type("many")
    page.keyboard.press("ArrowDown")
    page.keyboard.type("2")
    assert [field.input_value() for field in page.locator(".counted input").all()[:4]] == ["4", "many", "2", ""]
    expect(page.locator("#progress")).to_have_text("2 of 12 counted")
    page.keyboard.press("ArrowUp")
    for _ in range(40):
        page.keyboard.press("Shift+Tab")
        if page.evaluate("document.activeElement.id") == "export":
            break
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text("utf-8-sig"))))
    assert [row["counted"] for row in rows[:4]] == ["4", "", "2", ""]


def test_what_has_no_partner_is_listed(page, warehouse):
    (warehouse / "photos" / "B-99.jpg").write_bytes(photo(2))
    bring(page, everything(warehouse))
    for kind, text in (
        ("1 row without a photo", "A-01-40, expected 3"),
        ("1 photo without a row", "B-99.jpg"),
        ("1 row that is no record", "line 15 is a total (Summe)"),
    ):
        page.get_by_text(kind, exact=True).click()
        expect(page.locator("#apart")).to_contain_text(text)
    expect(page.locator(".bin").last).to_contain_text("No row in the stock list")


def test_one_bin_that_fails_is_its_own_and_can_be_asked_again(page, warehouse):
    refused = []

    def gateway(route):
        if len(refused) < 1:
            refused.append(route.request.url)
            route.fulfill(status=413, content_type="text/html", body="<h1>too large</h1>")
        else:
            route.continue_()

    page.route("**/*:predict*", gateway)
    page.get_by_label("Choose photos").set_input_files(everything(warehouse))
    expect(page.locator(".problem:visible")).to_have_count(1)
    expect(page.locator(".problem:visible")).to_contain_text("The server answered 413.")
    expect(page.locator(".rank:visible")).to_have_count(10)
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".rank:visible")).to_have_count(11)
    expect(page.locator(".problem:visible")).to_have_count(0)


def test_a_list_that_comes_after_the_photos_is_matched_and_another_takes_its_place(page, warehouse):
    page.get_by_label("Choose photos").set_input_files(everything(warehouse)[1:])
    expect(page.locator(".count:visible")).to_have_count(12)
    (warehouse / "other.csv").write_text("bin,qty\nA-01-00,5\n")
    for name, ranked in ((STOCK, 11), ("other.csv", 1)):
        page.get_by_label("Choose a stock list").set_input_files(str(warehouse / name))
        expect(page.locator(".rank:visible")).to_have_count(ranked)
        expect(page.locator("#stock-name")).to_have_text(name)


def test_what_is_no_stock_list_says_so_and_spoils_nothing(page, warehouse):
    bring(page, everything(warehouse))
    (warehouse / "other.csv").write_text("name,colour\nx,red\n")
    page.get_by_label("Choose a stock list").set_input_files(str(warehouse / "other.csv"))
    expect(page.get_by_role("alert")).to_contain_text("Other.csv needs the columns id,expected")
    expect(page.locator("#stock-name")).to_have_text(STOCK)
    assert set(order(page)[:2]) == set(WRONG)


def test_on_paper_there_is_room_to_write(page, warehouse):
    bring(page, everything(warehouse))
    page.emulate_media(media="print")
    expect(page.get_by_label("Choose photos")).to_be_hidden()
    expect(page.get_by_role("button", name="Print")).to_be_hidden()
    room = box(page, "A-01-03").bounding_box()
    assert room["width"] >= 75
    assert room["height"] >= 35
    expect(page.locator(".bin").first.locator("h3")).to_be_visible()


def test_products_of_the_list_speak_with_the_photos(browser, knowing, tmp_path):
    lines = ["bin,asin,quantity,length"]
    for id_, number in (("A-1", 2), ("A-2", 3), ("A-3", 2)):
        (tmp_path / f"{id_}.jpg").write_bytes(photo(2.5))  # two or three, alike
        lines += [f"{id_},P{place},{int(place < 2)}," for place in range(number)]
    (tmp_path / STOCK).write_text("\n".join([*lines[:-1], lines[-1] + "ell"]))
    page = browser.new_page()
    page.goto(knowing.url + "/")
    expect(page.locator("#stock-name")).to_contain_text("photo and products rank together")
    files = [str(tmp_path / STOCK), *sorted(map(str, tmp_path.glob("*.jpg")))]
    page.get_by_label("Choose photos").set_input_files(files)
    first = page.locator(".bin").first
    expect(first.locator(".verdict")).to_have_text(
        re.compile(r"RecountPhoto and products together say 3 \(9\d\u00a0% sure\).")
    )
    assert order(page)[0] == "A-2"
    expect(page.locator(".bin").last.locator(".verdict")).to_contain_text("Photo and products together say 2")
    expect(page.locator(".bin .note:visible")).to_have_count(0)
    page.get_by_text("1 remark on the products", exact=True).click()
    expect(page.locator("#on-products")).to_contain_text("1 size or weight is no number with a known unit")
    _, rows = exported(page)
    assert [row["expected_quantity"] for row in rows] == ["2", "2", "2"]
    assert rows[0]["note"].startswith("photo and products together: 3 (9")
    page.reload()
    expect(first.locator(".verdict")).to_contain_text("Photo and products together say 3")
    page.close()
