"""Self-contained HTML pages from Jinja templates, in one style.

A page is one template that lies beside the code of its step. It extends ``page.html.j2``, takes its pieces from the
macros of ``parts.html.j2`` and ``charts.html.j2``, and writes numbers with the functions of ``components.pages.text``,
each of which is a filter and a function of the same name::

    {% extends "components/pages/page.html.j2" %}
    {% from "components/pages/parts.html.j2" import card %}
    {% block title %}Evaluation{% endblock %}
    {% block lead %}How well the model counts.{% endblock %}
    {% block sections %}
    <section>
    <h2>Result</h2>
    <div class="cards">{{ card("exact accuracy", evaluation.accuracy | percent, "of the test bins") }}</div>
    </section>
    {% endblock %}

A page needs nothing from outside itself: styles, photos and charts are inside, and its content security policy
refuses everything else, every script but the one that is given as ``script`` included. All text is escaped, so that a
product's name can never become markup. It follows the reader's light or dark scheme, fits a phone and prints.
"""

import base64
import functools
import hashlib
import inspect
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape
from PIL import Image

from components.counter.photo import decode
from components.pages import charts, text

TEMPLATES = Path(__file__).parents[2]
"""Templates are named by their path from here, as modules are."""
MARKDOWN = "md.j2"
THUMBNAIL_SIDE = 208
THUMBNAIL_QUALITY = 80
CONTENTS, PAGES_OF_RUN = Markup("<!-- contents -->"), Markup("<!-- pages of the run -->")
"""Marks in a page's own markup; what it says of data is escaped and cannot look like them."""
HEADING = re.compile(r"<h2>(.*?)</h2>", re.DOTALL)
NUMBER = re.compile(r"[-+<>]?\s?\d[\d.,]*\s?(%|s|px|MB|/s)?")


def render_page(template: str, **context: Any) -> str:
    """Renders a whole HTML page.

    Args:
        template: its path, such as ``components/gate/gate.html.j2``.
        context: what the template names; a name that is missing is an error. A template that extends ``page.html.j2``
            may have a ``script``, the one that the page's policy allows, and a further ``style``.
    """
    return with_contents(render(template, **context))


def render(template: str, **context: Any) -> str:
    """Renders a template, whose text is escaped unless it is Markdown (``.md.j2``); see ``render_page``."""
    return environment().get_template(template).render(context)


def with_contents(page: str) -> str:
    """Puts a list of the page's sections where its template says ``CONTENTS``, if it does, and addresses them."""
    titles: list[str] = []
    if CONTENTS not in page:
        return page

    def addressed(heading: re.Match[str]) -> str:
        titles.append(heading[1])
        return f'<h2 id="section-{len(titles)}">{heading[1]}</h2>'

    body = HEADING.sub(addressed, page)
    entries = "".join(f'<li><a href="#section-{place}">{title}</a></li>' for place, title in enumerate(titles, 1))
    return body.replace(CONTENTS, f'<nav class="contents" aria-label="On this page"><ul>{entries}</ul></nav>', 1)


def with_pages(page: str, pages: Mapping[str, str]) -> str:
    """Links a page to others that lie beside it, by file name, at the end of its header.

    No link leads to nowhere, so whoever puts the files there says which.
    """
    entries = "".join(f'<li><a href="{escape(file)}">{escape(name)}</a></li>' for file, name in pages.items())
    return page.replace(PAGES_OF_RUN, f'<nav aria-label="Pages of this run"><ul>{entries}</ul></nav>', 1)


def with_others_below(page: str, others: Sequence[str]) -> str:
    """Puts what other pages, without a style or a script of their own, show below a page.

    For a viewer that knows one file, as Kubeflow's does.
    """
    shown = (other.partition("<main>")[2].rpartition("</main>")[0] for other in others)
    below = "".join(shown).replace("<h1>", "<h2>").replace("</h1>", "</h2>")
    return page.replace("</main>", f"{below}</main>", 1)


@functools.cache
def environment() -> jinja2.Environment:
    """What every page is rendered in: escaping, macros' helpers, and the ways to write a number."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=jinja2.select_autoescape(disabled_extensions=[MARKDOWN], default=True),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.do"],
    )
    written = {name: function for name, function in vars(text).items() if inspect.isfunction(function)}
    made.filters.update(written, thumbnail=thumbnail)
    made.globals.update(written, charts=charts, number_columns=number_columns, policy_hash=policy_hash)
    made.globals.update(CONTENTS=CONTENTS, PAGES_OF_RUN=PAGES_OF_RUN)
    return made


def policy_hash(text: str) -> str:
    """How a content security policy names an inline style or script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def thumbnail(photo: bytes | memoryview, side: int = THUMBNAIL_SIDE) -> str:
    """A JPEG, PNG or WebP as a small JPEG in a ``data:`` address; its longest side is at most ``side`` pixels.

    Raises:
        BadImageError: if the bytes are not such a photo.
    """
    image = decode(photo, size_hint=side)
    image.thumbnail((side, side), Image.Resampling.BICUBIC)
    jpeg = io.BytesIO()
    image.save(jpeg, "JPEG", quality=THUMBNAIL_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.getvalue()).decode()


def number_columns(width: int, rows: Sequence[Sequence[str]]) -> list[bool]:
    """Says for each of the columns of a table whether it holds only numbers; the first one names the rows."""
    return [column > 0 and all(_is_number(str(row[column])) for row in rows) for column in range(width)]


def _is_number(cell: str) -> bool:
    return cell in ("", text.NONE) or NUMBER.fullmatch(cell) is not None
