import base64
import io
import math
import re

import pytest
from PIL import Image

from components.counter.photo import BadImageError
from components.pages import page
from components.pages.charts import bar_chart, line_chart, nice_ticks
from components.pages.page import Card, Picture, Section, render_page
from tests.browser import assert_self_contained, open_in_browser
from tests.packed_bins import photo

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


@pytest.fixture
def full_page(tmp_path):
    """A page with every kind of part, hostile text in all of them."""
    series = {HOSTILE: [(epoch, 1 / epoch) for epoch in range(1, 9)], "validation": [(1, 0.9), (2, math.nan), (3, 0.7)]}
    html = render_page(
        HOSTILE,
        [
            Section(HOSTILE, HOSTILE, page.heading(HOSTILE), page.bullets([HOSTILE]), page.callout(HOSTILE, "warn")),
            Section("Numbers", page.cards([Card(HOSTILE, "36 %", HOSTILE)])),
            Section(
                "Charts",
                page.columns(
                    bar_chart(["1", HOSTILE], {HOSTILE: [0.5, 0.25], "b": [0, 1]}, caption=HOSTILE, x_label=HOSTILE),
                    line_chart(series, caption=HOSTILE, x_label="epoch"),
                ),
            ),
            Section(
                "Tables",
                page.table(["a", HOSTILE], [["x", HOSTILE]], caption=HOSTILE),
                page.heat_map(["1", HOSTILE], ["1", "2"], [[3, 1], [0, 0]], row_title=HOSTILE, caption=HOSTILE),
            ),
            Section("Photos", page.pictures([Picture(page.thumbnail(photo()), HOSTILE, HOSTILE, [HOSTILE * 9])])),
        ],
        lead=HOSTILE,
        facts=[(HOSTILE, HOSTILE)],
        footer=HOSTILE,
    )
    path = tmp_path / "page.html"
    path.write_text(html)
    return path


def test_a_page_needs_nothing_from_outside_and_fits_the_screen(full_page):
    assert_self_contained(full_page)


def test_text_never_becomes_markup(full_page):
    html = full_page.read_text()
    assert "<script" not in html
    assert "<img src=x" not in html
    assert html.count("&lt;script&gt;alert(1)") >= 20


def test_dark_and_print_have_their_own_colours(full_page):
    colour = "getComputedStyle(document.body).backgroundColor"
    with open_in_browser(full_page) as (opened, _):
        assert opened.evaluate(colour) == "rgb(255, 255, 255)"
        opened.emulate_media(color_scheme="dark")
        assert opened.evaluate(colour) == "rgb(20, 24, 29)"
        opened.emulate_media(media="print", color_scheme="dark")
        assert opened.evaluate(colour) == "rgb(255, 255, 255)"


def test_a_thumbnail_is_small_and_keeps_the_shape():
    head, data = page.thumbnail(photo(800, 400), side=100).split(",")
    assert head == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        assert image.size == (100, 50)
    with pytest.raises(BadImageError):
        page.thumbnail(b"text")


def test_columns_of_numbers_are_aligned_to_the_right():
    html = page.table(["split", "bins", "share", "reason"], [["train", "3,884", "70.0 %", "4 items"]], total=True)
    assert re.findall(r'<(t[hd])[^>]*class="number">([^<]+)', html) == [
        ("th", "bins"),
        ("th", "share"),
        ("td", "3,884"),
        ("td", "70.0 %"),
    ]
    assert '<tr class="total">' in html


def test_a_heat_map_is_shaded_by_the_share_of_the_row():
    html = page.heat_map(["1", "2"], ["1", "2"], [[30, 10], [0, 5]], row_title="true", column_title="predicted")
    assert re.findall(r"var\(--accent\) (\d+)%", html) == ["75", "25", "0", "100"]
    assert "true 1, predicted 2: 25.0%" in html


def test_bars_are_as_high_as_their_values():
    html = bar_chart(["1", "2"], {"bins": [50, 100]}, caption="Bins")
    heights = [float(height) for height in re.findall(r'<rect[^>]* height="([\d.]+)"', html)]
    assert heights[1] == pytest.approx(2 * heights[0], abs=0.1)
    assert re.findall(r'class="value"[^>]*>([^<]+)', html) == ["50", "100"]


def test_lines_go_through_their_points_from_left_to_right():
    html = line_chart({"loss": [(0, 4), (5, 0), (10, 2)]}, caption="Loss", from_zero=True)
    (points,) = re.findall(r'points="([^"]+)"', html)
    (x0, y0), (x1, y1), (x2, y2) = (tuple(map(float, point.split(","))) for point in points.split())
    assert x1 - x0 == pytest.approx(x2 - x1)
    assert y1 - y0 == pytest.approx(2 * (y1 - y2))


@pytest.mark.parametrize("points", [[], [(1, 0.5)], [(1, math.nan)], [(1, 3), (2, 3)]])
def test_a_line_chart_survives_little_data(points):
    assert "<svg" in line_chart({"loss": points}, caption="Loss")


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 0.26, [0, 0.1, 0.2, 0.3]),
        (3, 97, [0, 20, 40, 60, 80, 100]),
        (-1, 1, [-1, -0.5, 0, 0.5, 1]),
        (5, 5, [5, 6, 7, 8, 9, 10]),
    ],
)
def test_ticks_are_round_numbers_around_the_values(low, high, expected):
    assert nice_ticks(low, high) == pytest.approx(expected)
