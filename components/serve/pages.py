"""The page at ``/``: one document with its style and script inside, whose policy allows nothing else.

Nothing is named by a path, so that it works behind a gateway that serves it under any, such as ``/bins``.
"""

import base64
from pathlib import Path

from fastapi import FastAPI, Request, Response
from starlette.routing import Route

from components.counter.answers import told_apart
from components.counter.bundle import Bundle
from components.counter.record.model import RECORD_FILE
from components.counter.verdict import MISSED_COST, MOST_COST
from components.pages.page import policy_hash, render_page
from components.pages.worklist.parts import script_with, style_with
from components.tables.stock import LIST_COLUMNS

FOLDER = Path(__file__).parent / "page"
SCRIPTS = ("server.js", "keep.js", "card.js", "counter.js")
"""In this order: each uses the ones before it."""
BASE_STYLE = Path(__file__).parents[1] / "pages" / "page.css"
LIST_HINT = "CSV or XLSX with the columns id and expected"
PRODUCTS_HINT = "; with a row for each product, or a column asin, photo and products rank together"
ALIVE = b'{"status":"alive"}'
"""What ``/`` says to a program: KServe's V1 clients ask there whether the server lives."""


def add_page(app: FastAPI, name: str, bundle: Bundle) -> None:
    """Adds the page for a model to the application.

    Args:
        app: the application.
        name: the model's name in URLs.
        bundle: its description; the page says what it counts.
    """
    style = BASE_STYLE.read_text() + style_with(FOLDER / "counter.css")
    script = script_with(*(FOLDER / name for name in SCRIPTS))
    page = render_page(
        "components/serve/page/index.html.j2",
        name=name,
        version=bundle.version,
        columns=LIST_COLUMNS,
        counts=told_apart(bundle.labels),
        list_hint=LIST_HINT + (PRODUCTS_HINT if RECORD_FILE in bundle.files else ""),
        missed_cost=f"{MISSED_COST:g}",
        most_cost=MOST_COST,
        style=style,
        script=script,
        icon=f"data:image/svg+xml;base64,{base64.b64encode((FOLDER / 'icon.svg').read_bytes()).decode()}",
    ).encode()
    headers = {
        "content-security-policy": (
            f"default-src 'none'; script-src '{policy_hash(script)}'; style-src '{policy_hash(style)}'; "
            "img-src data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
        "cache-control": "no-cache",
        "cross-origin-opener-policy": "same-origin",
        "referrer-policy": "no-referrer",
        "vary": "accept",
        "x-content-type-options": "nosniff",
    }

    async def root(request: Request) -> Response:
        if "text/html" in request.headers.get("accept", ""):
            return Response(page, media_type="text/html; charset=utf-8", headers=headers)
        return Response(ALIVE, media_type="application/json", headers={"vary": "accept"})

    app.router.routes.append(Route("/", root))
