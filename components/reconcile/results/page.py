"""The recount list as a page to work through: photos, and boxes for what was counted."""

import json
import sqlite3
from hashlib import sha256
from pathlib import Path

from components.client.query import PhotoError
from components.common.files import sha256_bytes
from components.counter.answers import told_apart
from components.counter.photo import BadImageError
from components.documents.reconciled import Reconciliation
from components.pages.page import THUMBNAIL_SIDE, render_page, thumbnail
from components.pages.text import SPACE, plural
from components.pages.worklist.parts import script_with, style_with
from components.reconcile.records import Photos
from components.reconcile.results.report import NOT_CHECKED, Curve, expected_wrong_in, list_rows
from components.tables.stock import LIST_COLUMNS

SCRIPT = Path(__file__).with_name("recount.js")
FULL_SIDE, MOST_FULL = 640, 200
"""Pixels of a photo that opens in full, and how many of them at most make a page that is still light to open."""
SHOWN_APART = 20
"""Of the bins that are not ranked, and of the rows that are no record."""
MANY = 0.4
"""When more than this fraction of the records looks wrong, it is rather the model."""
SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)
"""Of the list, for the table of what recounting is worth."""
NO_PICTURE = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'/%3E"


def render(
    database: sqlite3.Connection, summary: Reconciliation, rate: float | None, curve: Curve, photos: Photos
) -> str:
    """The page: what to recount, how much it is worth, what was left out, and whether the model still fits.

    The ``rate`` is that of ``answer_store.rate_with``, None when no bin is countable.
    """
    side = FULL_SIDE if summary.top <= MOST_FULL else THUMBNAIL_SIDE
    listed = list(list_rows(database, rate, summary.top, SHOWN_APART))
    rows = [  # as the page's script takes them
        {**row, "verdict": row["verdict"] or NOT_CHECKED, "position": position}
        for position, (_, row) in enumerate(listed, 1)
    ]
    bins = [
        {**answered, "row": row, "picture": _picture(photos, answered["id"], answered["photo"], side)}
        for (answered, _), row in zip(listed, rows, strict=True)
    ]
    return render_page(
        "components/reconcile/results/recount.html.j2",
        style=style_with(),
        script=script_with(SCRIPT) if bins else "",
        columns=LIST_COLUMNS,
        key=sha256(json.dumps([summary.model, rows]).encode()).hexdigest()[:16],
        summary=summary,
        how_many_wrong=how_many_wrong(summary),
        how_far=how_far(summary),
        beyond=beyond(summary),
        many_look_wrong=summary.error_rate_estimated and (summary.error_rate or 0) > MANY,
        bins=bins,
        first=sum(row["rank"] is not None for row in rows),
        found=[(bins, 100 * wrong / curve[-1][1]) for bins, wrong in curve] if summary.ranked else [],
        worth=worth(summary.ranked, curve),
        shown_apart=SHOWN_APART,
    )


def how_many_wrong(summary: Reconciliation) -> str:
    """One line on the number of wrong records, with its interval; one number only where the photos tell one."""
    if summary.wrong_interval is None or summary.wrong_interval_in_top is None:
        return "no bin could be compared with its record"
    (low, high), (low_in_top, high_in_top) = summary.wrong_interval, summary.wrong_interval_in_top
    if not summary.wrong_told:
        return (
            f"at most {high:,} of {plural(summary.ranked, 'record')} are wrong, at most {high_in_top:,} of them among "
            f"the first {summary.top:,} of the list; the photos do not tell it more closely"
        )
    interval, top = f"{low:,} to {high:,}", f"{low_in_top:,} to {high_in_top:,}"
    return (
        f"about {plural(summary.expected_wrong, 'record is', 'records are')} wrong ({interval} with 95{SPACE}% "
        f"confidence), {summary.expected_wrong_in_top:,.0f} ({top}) of them among the first {summary.top:,} of the list"
    )


def how_ranked(summary: Reconciliation) -> str:
    """One line on what the ranking looked at, for records that name products."""
    if not summary.with_products:
        return "the served model has not learnt what products tell, so that photos alone rank the bins"
    ranked = plural(summary.ranked, "bin is", "bins are")
    return f"{summary.with_products:,} of {ranked} ranked by photo and products together"


def how_far(summary: Reconciliation) -> str:
    """One line on how much of the list is worth its recounts."""
    recounts = "recount" if summary.missed_cost == 1 else "recounts"
    why = f"an error that nobody finds costs as much as {summary.missed_cost:,.15g} {recounts}"
    if not summary.worth_recounting:
        return f"no bin is worth a recount while {why}"
    return f"{plural(summary.worth_recounting, 'bin is', 'bins are')} worth a recount while {why}"


def beyond(summary: Reconciliation) -> str:
    """One line on the records that the model has no count for, and what to do about them; empty when there are none."""
    if not summary.not_countable:
        return ""
    most = summary.counts[-1] + (not summary.open_top)
    return (
        f"{plural(summary.not_countable, 'record names', 'records name')} a count that this model does not know (it "
        f"tells {told_apart(summary.labels)} apart); one trained with --counts 0-{most} --open-top yes answers all of "
        f'them, the largest as "{most} or more"'
    )


def worth(ranked: int, curve: Curve) -> list[dict[str, float]]:
    """The fraction of the wrong records that is ``found`` in a ``share`` of the list, ``times`` that of any order."""
    in_all = curve[-1][1]
    rows = [(share, round(ranked * share)) for share in SHARES]
    return [
        {"share": share, "bins": bins, "found": found, "times": found / share}
        for share, bins in rows
        if bins
        for found in [expected_wrong_in(curve, bins) / in_all]
    ]


def _picture(photos: Photos, id_: str, counted: str | None, side: int) -> str:
    """The photo that was counted, whose sha256 is ``counted``; nothing when it is gone by now, or another."""
    if counted is None:
        return NO_PICTURE
    try:
        photo = photos.read(id_)
        return thumbnail(photo, side) if sha256_bytes(photo) == counted else NO_PICTURE
    except (PhotoError, BadImageError):
        return NO_PICTURE
