import base64
import io
import math
import re
from pathlib import Path

import pytest
from PIL import Image

from components.counter.photo import BadImageError
from components.pages import page
from components.pages.charts import nice_ticks
from components.pages.page import environment, thumbnail, with_contents, with_pages
from tests.browser import assert_self_contained, open_in_browser, unreadable
from tests.packed_bins import photo

CSS = Path(page.__file__).with_name("page.css")
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


PAGE = """
{% extends "components/pages/page.html.j2" %}
{% import "components/pages/parts.html.j2" as parts %}
{% import "components/pages/charts.html.j2" as charts %}
{% block title %}{{ hostile }}{% endblock %}
{% block lead %}{{ hostile }}{% endblock %}
{% block facts %}{{ parts.facts({hostile: hostile}) }}{% endblock %}
{% block sections %}
<h2>{{ hostile }}</h2>
{{ parts.bullets([hostile]) }}
<div class="cards">{{ parts.card(hostile, "36 %", hostile) }}</div>
<div class="columns">
<div>{{ charts.bar_chart(["1", hostile], {hostile: [0.5, 0.25], "b": [0, 1]}, hostile, hostile) }}</div>
<div>{{ charts.line_chart(series, hostile, "epoch") }}</div>
</div>
{{ charts.stacked_bar({hostile: 3, "b": 1}, hostile) }}
{{ parts.table(["a", hostile], [["x", hostile]], caption=hostile) }}
{{ parts.heat_map(["1", hostile], ["1", "2"], [[3, 1], [0, 0]], row_title=hostile, caption=hostile) }}
<div class="pictures">{{ parts.picture(photo | thumbnail, hostile, hostile, [hostile * 9]) }}</div>
{% endblock %}
{% block footer %}<footer>{{ hostile }}</footer>{% endblock %}
"""


def macro(file: str, name: str):
    """One of the shared macros."""
    return getattr(environment().get_template(f"components/pages/{file}.html.j2").module, name)


@pytest.fixture
def full_page(tmp_path):
    """A page with every kind of part, hostile text in all of them."""
    series = {HOSTILE: [(epoch, 1 / epoch) for epoch in range(1, 9)], "validation": [(1, 0.9), (2, math.nan), (3, 0.7)]}
    path = tmp_path / "page.html"
    path.write_text(environment().from_string(PAGE).render(hostile=HOSTILE, series=series, photo=photo()))
    return path


def test_a_page_of_every_part_breaks_no_rule_of_axe(full_page):
    with open_in_browser(full_page) as (page, _):
        assert unreadable(page) == []


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
    head, data = thumbnail(photo(800, 400), side=100).split(",")
    assert head == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        assert image.size == (100, 50)
    with pytest.raises(BadImageError):
        thumbnail(b"text")


def test_columns_of_numbers_are_aligned_to_the_right():
    html = macro("parts", "table")(
        ["split", "bins", "share", "reason"], [["train", "3,884", "70.0 %", "4 items"]], total=True
    )
    assert re.findall(r'<(t[hd])[^>]*class="number">([^<]+)', html) == [
        ("th", "bins"),
        ("th", "share"),
        ("td", "3,884"),
        ("td", "70.0 %"),
    ]
    assert '<tr class="total">' in html


def test_a_heat_map_is_shaded_by_the_share_of_the_row():
    html = macro("parts", "heat_map")(
        ["1", "2"], ["1", "2"], [[30, 10], [0, 5]], row_title="true", column_title="predicted"
    )
    assert re.findall(r"var\(--heat\) (\d+)%", html) == ["75", "25", "0", "100"]
    assert "true 1, predicted 2: 25.0%" in html


def test_bars_are_as_high_as_their_values():
    html = macro("charts", "bar_chart")(["1", "2"], {"bins": [50, 100]}, caption="Bins")
    heights = [float(height) for height in re.findall(r'<rect[^>]* height="([\d.]+)"', html)]
    assert heights[1] == pytest.approx(2 * heights[0], abs=0.1)
    assert re.findall(r'class="value"[^>]*>([^<]+)', html) == ["50", "100"]


def test_lines_go_through_their_points_from_left_to_right():
    html = macro("charts", "line_chart")({"loss": [(0, 4), (5, 0), (10, 2)]}, caption="Loss", from_zero=True)
    (points,) = re.findall(r'points="([^"]+)"', html)
    (x0, y0), (x1, y1), (x2, y2) = (tuple(map(float, point.split(","))) for point in points.split())
    assert x1 - x0 == pytest.approx(x2 - x1)
    assert y1 - y0 == pytest.approx(2 * (y1 - y2))


def test_no_series_is_told_by_its_colour_alone():
    lines = {name: [(0, 1), (1, 2)] for name in ("train", "validation")}
    html = macro("charts", "line_chart")(lines, "Loss")
    looks = re.findall(r'<polyline class="(s\d)" points="\d', html)
    assert set(looks) == set(re.findall(r'class="key line (s\d)"', html)) == {"s1", "s2"}
    dashes = dict(re.findall(r"\.(s\d) \{.*--dashes: ([^;]+);", CSS.read_text()))
    assert len(set(dashes.values())) == 6
    assert "<desc>train, x 0: 1 to 1: 2; validation, x 0: 1 to 1: 2</desc>" in html


def test_pieces_of_a_bar_are_as_wide_as_their_shares():
    html = macro("charts", "stacked_bar")({"data": 1, "forward": 3}, "Time")
    assert re.findall(r'<rect[^>]* width="([\d.]+)" height="24"', html) == ["250.0", "750.0"]
    assert re.findall(r"</svg>([^<]+)</span>", html) == [
        "data 25.0\N{NO-BREAK SPACE}%",
        "forward 75.0\N{NO-BREAK SPACE}%",
    ]


@pytest.mark.parametrize("points", [[], [(1, 0.5)], [(1, math.nan)], [(1, 3), (2, 3)]])
def test_a_line_chart_survives_little_data(points):
    assert "<svg" in macro("charts", "line_chart")({"loss": points}, caption="Loss")


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


LISTED = """
{% extends "components/pages/page.html.j2" %}
{% block title %}Title{% endblock %}
{% block contents %}{{ CONTENTS }}{% endblock %}
{% block sections %}<h2>First &amp; foremost</h2><h2>{{ hostile }}</h2><p>{{ mark }}</p>{% endblock %}
"""


def test_the_contents_lead_to_every_section_whatever_it_is_called():
    marks = "<!-- contents --><!-- pages of the run -->"
    html = with_contents(environment().from_string(LISTED).render(hostile=HOSTILE, mark=marks))
    listed = re.findall(r'<li><a href="#([\w-]+)">(.*?)</a></li>', html)
    assert [title for _, title in listed] == [
        "First &amp; foremost",
        *re.findall(r'<h2 id="section-2">(.*?)</h2>', html),
    ]
    assert len(listed) == 2
    assert all(f'<h2 id="{place}">' in html for place, _ in listed)
    assert html.count("<nav") == 1
    assert "<script>" not in html


def test_a_page_is_linked_to_those_beside_it():
    html = with_pages(environment().from_string(LISTED).render(hostile="", mark=""), {"gate.html": HOSTILE})
    assert '<li><a href="gate.html">&lt;script&gt;' in html
    assert html.index("</nav>") < html.index("</header>")
    assert with_pages("<p>of an older version</p>", {"gate.html": "gate"}) == "<p>of an older version</p>"


CONTRAST = """element => {
  const context = document.createElement("canvas").getContext("2d");
  const light = colour => {
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    const parts = [...context.getImageData(0, 0, 1, 1).data].slice(0, 3).map(value => value / 255);
    const [red, green, blue] = parts.map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const style = getComputedStyle(element);
  const both = [light(style.color), light(style.backgroundColor)].sort((a, b) => b - a);
  return (both[0] + 0.05) / (both[1] + 0.05);
}"""
"""WCAG 2.2, contrast ratio of an element's text."""


def test_every_cell_of_a_heat_map_can_be_read_and_wide_tables_take_the_keyboard(tmp_path):
    shares = [[n, 10 - n] for n in range(11)]
    text = PAGE[: PAGE.index("{% block sections %}")] + (
        "{% block sections %}{{ parts.heat_map(range(11) | list, [1, 2], shares) }}"
        "{{ parts.table(['a', 'b'], [['1', '2']], 'what it shows') }}{% endblock %}"
    )
    path = tmp_path / "page.html"
    path.write_text(environment().from_string(text).render(hostile="x", shares=shares))
    with open_in_browser(path) as (page, _):
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert min(cell.evaluate(CONTRAST) for cell in page.query_selector_all(".heat td")) >= 4.5
        named = [
            box.get_attribute("aria-label") for box in page.query_selector_all(".scroll[tabindex='0'][role=group]")
        ]
    assert len(named) == 2
    assert named[1] == "what it shows"
