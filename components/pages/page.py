"""Self-contained HTML pages: one style for the explore page, the evaluation report and every other report.

A page is a list of sections; a section is a title and parts; a part comes from a function of this module or of
``components.pages.charts``::

    html = render_page(
        "Evaluation",
        [Section("Result", cards([Card("exact accuracy", "36.1 %", "of 1,110 test bins")]), paragraph("…"))],
        lead="How well the model counts.",
    )

A page needs nothing from outside itself: styles, photos and charts are inside, and its content security policy
refuses everything else. All text is escaped, so that a product's name can never become markup. It follows the
reader's light or dark scheme, fits a phone and prints.
"""

import base64
import functools
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from PIL import Image

from components.counter.photo import decode

FOLDER = Path(__file__).parent
THUMBNAIL_SIDE = 208
THUMBNAIL_QUALITY = 80
NUMBER = re.compile(r"[-+<>]?\s?\d[\d.,]*\s?(%|s|px|MB|/s)?")


@dataclass(frozen=True, init=False)
class Section:
    """A titled piece of a page; strings among the parts become paragraphs."""

    title: str
    parts: tuple[Markup, ...]

    def __init__(self, title: str, *parts: Markup | str) -> None:
        object.__setattr__(self, "title", title)
        object.__setattr__(
            self, "parts", tuple(part if isinstance(part, Markup) else paragraph(part) for part in parts)
        )


@dataclass(frozen=True)
class Card:
    """One number that matters, with what it is and what it is measured on."""

    label: str
    value: str
    detail: str = ""


@dataclass(frozen=True)
class Picture:
    """A photo with a caption; ``source`` comes from ``thumbnail``."""

    source: str
    title: str
    tag: str = ""
    lines: Sequence[str] = field(default_factory=tuple)


def render_page(
    title: str,
    sections: Sequence[Section],
    *,
    lead: str = "",
    facts: Sequence[tuple[str, str]] = (),
    footer: str = "",
) -> str:
    """Renders a whole HTML page.

    Args:
        title: heading and title of the document.
        sections: in reading order.
        lead: the one sentence to read when reading nothing else.
        facts: names and values, such as the dataset id, under the lead.
        footer: how the page was made.
    """
    return (
        _environment()
        .get_template("page.html.j2")
        .render(title=title, sections=sections, lead=lead, facts=facts, footer=footer)
    )


def paragraph(text: str) -> Markup:
    """A paragraph of text."""
    return part("paragraph", text)


def heading(text: str) -> Markup:
    """A heading inside a section."""
    return part("heading", text)


def bullets(items: Sequence[str]) -> Markup:
    """A bulleted list."""
    return part("bullets", items)


def callout(text: str, tone: str = "") -> Markup:
    """A paragraph that stands out; ``tone`` is ``good``, ``warn`` or empty."""
    return part("callout", text, tone)


def columns(*parts: Markup) -> Markup:
    """Parts side by side where there is room, one below the other on a phone."""
    return part("columns", parts)


def cards(items: Sequence[Card]) -> Markup:
    """A row of numbers that matter."""
    return part("cards", items)


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str = "", total: bool = False) -> Markup:
    """A table; columns that hold only numbers are aligned to the right.

    Args:
        header: names of the columns.
        rows: cells as text; the first one of a row is its heading.
        caption: what the table shows.
        total: the last row is a total.
    """
    is_number = [column > 0 and all(_is_number(row[column]) for row in rows) for column in range(len(header))]
    return part("table", header, rows, caption, is_number, total)


def pictures(items: Sequence[Picture]) -> Markup:
    """A grid of photos with captions."""
    return part("pictures", items)


def heat_map(
    rows: Sequence[str],
    columns: Sequence[str],
    values: Sequence[Sequence[float]],
    *,
    row_title: str = "",
    column_title: str = "",
    caption: str = "",
) -> Markup:
    """A table shaded by each value's share of its row, such as a confusion matrix.

    Args:
        rows: their names, such as the true counts.
        columns: their names, such as the predicted counts.
        values: [rows][columns], not negative.
        row_title: what the rows are.
        column_title: what the columns are.
        caption: what the table shows.
    """
    cells = []
    for name, row in zip(rows, values, strict=True):
        total = sum(row) or 1
        cells.append(
            [
                {
                    "text": f"{value:,.4g}" if value != int(value) else f"{int(value):,}",
                    "percent": round(100 * value / total),
                    "title": f"{row_title} {name}, {column_title} {column}: {value / total:.1%}".strip(),
                }
                for column, value in zip(columns, row, strict=True)
            ]
        )
    return part("heat_map", rows, columns, cells, row_title, column_title, caption)


def thumbnail(photo: bytes | memoryview, side: int = THUMBNAIL_SIDE) -> str:
    """A photo as a small JPEG in a ``data:`` address.

    Args:
        photo: JPEG, PNG or WebP.
        side: the longest side in pixels; a smaller photo is not enlarged.

    Raises:
        BadImageError: if the bytes are not such a photo.
    """
    image = decode(photo, size_hint=side)
    image.thumbnail((side, side), Image.Resampling.BICUBIC)
    jpeg = io.BytesIO()
    image.save(jpeg, "JPEG", quality=THUMBNAIL_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.getvalue()).decode()


def part(name: str, *arguments: Any) -> Markup:
    """Renders one macro of ``page_parts.html.j2``; what charts are made with."""
    markup: Markup = getattr(_environment().get_template("page_parts.html.j2").module, name)(*arguments)
    return markup


@functools.cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _is_number(text: str) -> bool:
    return text in ("", "-") or NUMBER.fullmatch(text) is not None
