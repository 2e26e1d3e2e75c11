"""The recount list as a page with thumbnails."""

import sqlite3
import textwrap
from itertools import islice

from components.client.query import PhotoError
from components.counter.photo import BadImageError
from components.documents.reconciled import Reconciliation
from components.pages.page import render_page, thumbnail
from components.reconcile import answer_store
from components.reconcile.records import Photos
from components.reconcile.report import Curve, expected_wrong_in

SHOWN_APART = 20
PRODUCTS_WIDTH = 120
SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)
"""Of the list, for the table of what recounting is worth."""
NO_PICTURE = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'/%3E"


def render(database: sqlite3.Connection, summary: Reconciliation, curve: Curve, photos: Photos) -> str:
    """The page: what to recount, how much it is worth, what was left out, and whether the model still fits."""
    ranked = (
        islice(answer_store.ranked(database, summary.error_rate), summary.top) if summary.error_rate is not None else []
    )
    return render_page(
        "components/reconcile/recount.html.j2",
        summary=summary,
        half_look_wrong=summary.error_rate_estimated and summary.error_rate == answer_store.ERROR_RATES[1],
        first=[{**row, "picture": _picture(photos, row["id"])} for row in ranked],
        curve=curve,
        worth=worth(summary.ranked, curve),
        not_countable=[
            {**row, "problem": textwrap.shorten(row["products"], PRODUCTS_WIDTH, placeholder=" …")}
            for row in islice(answer_store.not_countable(database), SHOWN_APART)
        ],
        not_checked=list(islice(answer_store.not_checked(database), SHOWN_APART)),
        shown_apart=SHOWN_APART,
    )


def worth(ranked: int, curve: Curve) -> list[dict[str, float]]:
    """How many ``wrong`` records are expected in a ``share`` of the list, and ``times`` as many as in any order."""
    in_all = curve[-1][1]
    rows = [(share, round(ranked * share)) for share in SHARES]
    return [
        {"share": share, "bins": bins, "wrong": wrong, "times": wrong / (in_all * share)}
        for share, bins in rows
        if bins
        for wrong in [expected_wrong_in(curve, bins)]
    ]


def _picture(photos: Photos, id_: str) -> str:
    try:
        return thumbnail(photos.read(id_))
    except (PhotoError, BadImageError):
        return NO_PICTURE  # it was there when it was counted
