"""The page at ``/`` and its files; nothing comes from outside the server, and its policy allows nothing else."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from fastapi import FastAPI, Request, Response
from starlette.routing import Route

from components.counter.bundle import Bundle
from components.pages.page import render_page

FOLDER = Path(__file__).parent / "page"
BASE_STYLE = Path(__file__).parents[1] / "pages" / "page.css"
FILES = {
    "counter.css": (FOLDER / "counter.css", "text/css"),
    "base.css": (BASE_STYLE, "text/css"),
    "counter.js": (FOLDER / "counter.js", "text/javascript"),
    "icon.svg": (FOLDER / "icon.svg", "image/svg+xml"),
}
ALIVE = b'{"status":"alive"}'
"""What ``/`` says to a program: KServe's V1 clients ask there whether the server lives."""
HEADERS = {
    "vary": "accept",
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cache-control": "no-cache",
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def add_pages(app: FastAPI, name: str, bundle: Bundle) -> None:
    """Adds the page for a model to the application.

    Args:
        app: the application.
        name: the model's name in URLs.
        bundle: its description; the page says what it counts.
    """
    lowest, highest = bundle.label(0), bundle.label(len(bundle.counts) - 1)
    page = render_page(
        "components/serve/page/index.html.j2", name=name, version=bundle.version, range=f"{lowest} to {highest} items"
    )
    contents = {"/": (page.encode(), "text/html; charset=utf-8")} | {
        f"/page/{file}": (path.read_bytes(), f"{kind}; charset=utf-8") for file, (path, kind) in FILES.items()
    }
    for path, (content, kind) in contents.items():
        app.router.routes.append(Route(path, _static(content, kind, for_programs=path == "/")))


def _static(content: bytes, kind: str, for_programs: bool) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        if for_programs and "text/html" not in request.headers.get("accept", ""):
            return Response(ALIVE, media_type="application/json", headers={"vary": "accept"})
        return Response(content, media_type=kind, headers=HEADERS)

    return endpoint
